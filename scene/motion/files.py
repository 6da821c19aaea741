"""Motions on disk: `deform/iteration_<N>/` of a model folder, with `deform.pth` as Deformable 3DGS and DGD have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from numbers import Real
from pathlib import Path

import torch

from arguments import MotionParams
from scene.motion import MOTIONS, Motion, MotionSetup, make_motion
from scene.motion.deformation_field import DeformationField
from scene.motion.deformation_network import network_of
from scene.motion.learned import read_state
from scene.motion.static import StaticMotion
from utils.errors import UserError
from utils.files import read_json, write_json

SETUP_NAME = "motion.json"  # what the weights alone do not say; absent in folders of other programs
KEPT = ("compat_quat", "num_bases", "is_blender", "is_6dof")  # options that a finished motion depends on


def motion_folder(model_path: str | Path, iteration: int) -> Path:
    """Where the motion of one saved iteration is."""
    return Path(model_path) / "deform" / f"iteration_{iteration}"


def save_motion(folder: Path, motion: Motion) -> None:
    """Write what `load_motion` reads."""
    if motion.is_static:
        return
    motion.save(folder)
    setup = motion.setup
    options = {name: value for name, value in asdict(setup.params).items() if name in KEPT}
    write_json(folder / SETUP_NAME, {"kind": motion.kind, "center": setup.center, "radius": setup.radius, **options})


def motion_beside(ply: Path, device: torch.device | str) -> Motion | None:
    """The motion of the model whose saved Gaussians a PLY file is; None where it is no such file, or nothing moves."""
    match = re.fullmatch(r"iteration_(\d+)", ply.resolve().parent.name)
    if match is None or not motion_folder(ply.resolve().parents[2], int(match[1])).is_dir():
        return None
    return load_motion(ply.resolve().parents[2], int(match[1]), device)


def load_motion(model_path: str | Path, iteration: int, device: torch.device | str) -> Motion:
    """The motion of one saved iteration; nothing moves if the model folder holds none at all.

    A folder of another program has `deform.pth` alone, and is rendered as that program does.
    """
    folder = motion_folder(model_path, iteration)
    if not folder.parent.is_dir():
        return StaticMotion()
    if (folder / SETUP_NAME).is_file():
        return _load_own(folder, device)
    if not (folder / DeformationField.weights_name).is_file():
        raise UserError(f"{folder}: no deform.pth; expected the motion of iteration {iteration}; take another one")
    path = folder / DeformationField.weights_name
    network = network_of(read_state(path), str(path))
    params = MotionParams(compat_quat=True, is_blender=network.is_blender, is_6dof=network.is_6dof)
    return DeformationField(network, MotionSetup(params, device=device))


def _load_own(folder: Path, device: torch.device | str) -> Motion:
    found = read_json(folder / SETUP_NAME)
    MOTIONS.discover("scene.motion")
    valid = isinstance(found, Mapping) and found.get("kind") in MOTIONS and _is_place(found) and _has_options(found)
    if not valid:
        raise UserError(f"{folder / SETUP_NAME}: expected kind, center and radius of a motion; train again")
    params = MotionParams(**{name: found[name] for name in KEPT})
    setup = MotionSetup(params, tuple(found["center"]), found["radius"], device=device)
    motion = make_motion(found["kind"], setup)
    motion.load(folder)
    return motion


def _is_place(found: Mapping) -> bool:
    """Whether the ball that the motion works in is there."""
    center, radius = found.get("center"), found.get("radius")
    numbers = [*center, radius] if isinstance(center, list) and len(center) == 3 else []
    return bool(numbers) and all(isinstance(number, Real) for number in numbers) and radius > 0


def _has_options(found: Mapping) -> bool:
    """Whether the options that a finished motion depends on are there, with values of the right kind."""
    return all(type(found.get(name)) is type(getattr(MotionParams(), name)) for name in KEPT)
