"""What the buttons of the viewer write: splat files, pictures, camera paths, each with the command that equals it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from gaussian_renderer.camera_file import write_cameras
from gaussian_renderer.click_file import write_clicks
from gaussian_renderer.trajectories import slerp_path, sorted_by_name
from scene.cameras import Camera
from scene.formats import write_splats
from scene.gaussian_model import GaussianModel
from scene.motion.freeze import frozen_at
from utils.errors import UserError
from utils.image_io import write_png
from viewer.commands import render_command, segment_command
from viewer.painter import Shown
from viewer.questions import Answer
from viewer.source import Source


@dataclass(frozen=True)
class Exported:
    """What was written."""

    files: tuple[Path, ...]
    command: str = ""
    """Equal command line; empty where there is none."""

    def __str__(self) -> str:
        written = "written: " + ", ".join(map(str, self.files))
        return f"{written}\n{self.command}" if self.command else written


def export_selection(source: Source, model: GaussianModel, answer: Answer, name: str, time: float) -> Exported:
    """`selected.ply` and `rest.ply`; those of a model folder lie where `segment.py --name` puts them.

    A moving model is written as it is at a moment.
    """
    _check_name(name)
    folder = source.folder / name if source.model_path is None else source.model_path / "segment" / name
    mask = answer.selection.mask
    if not mask.any():
        raise UserError("nothing is selected; expected some Gaussians; click on an object first")
    files = tuple(folder / f"{part}.ply" for part in ("selected", "rest"))
    for path, chosen in zip(files, (mask, ~mask), strict=True):
        _write_splats(path, model.subset(chosen), time)
    if answer.question.clicks:
        clicks_file = source.folder / f"{name}_clicks.json"
        write_clicks(clicks_file, [(clicks.camera, clicks.asked) for clicks in answer.question.clicks])
        files = (*files, clicks_file)
    if source.model_path is None:
        return Exported(files)
    views = sorted_by_name(source.train)
    clicks_file = source.folder / f"{name}_clicks.json"
    command = segment_command(source.model_path, answer.question, name, views, source.iteration, clicks_file)
    return Exported(files, command)


def export_visible(source: Source, shown: Shown, name: str, time: float) -> Exported:
    """The Gaussians that are to be seen, as one splat file."""
    _check_name(name)
    path = source.folder / f"{name}.ply"
    _write_splats(path, shown.model, time)
    return Exported((path,))


def export_picture(source: Source, picture: Tensor, camera: Camera, name: str) -> Exported:
    """A picture [3, H, W] and its camera."""
    _check_name(name)
    files = source.folder / f"{name}.png", source.folder / f"{name}.json"
    write_png(files[0], picture)
    write_cameras(files[1], [replace(camera, image_name=name)])
    return Exported(files, _rendering(source, files[1], 1))


def export_path(source: Source, keys: Sequence[Camera], count: int, name: str) -> Exported:
    """`count` cameras on a smooth way through the key cameras; times run along."""
    _check_name(name)
    if len(keys) < 2:
        raise UserError(f"the path has {len(keys)} cameras; expected at least 2; add some")
    named = [replace(key, image_name=f"key_{index:05d}") for index, key in enumerate(keys)]
    path = source.folder / f"{name}.json"
    write_cameras(path, list(slerp_path(named, max(count, len(keys)))))
    return Exported((path,), _rendering(source, path, count))


def _rendering(source: Source, path: Path, count: int) -> str:
    if source.model_path is None:
        return ""
    return render_command(source.model_path, path, count, source.iteration)


@torch.no_grad()
def _write_splats(path: Path, model: GaussianModel, time: float) -> None:
    moment = model if model.motion.is_static else frozen_at(model, time)
    write_splats(path, moment.to_arrays())


def _check_name(name: str) -> None:
    if name in ("", "..") or Path(name).name != name or name.startswith("-"):
        raise UserError(f"the name is {name!r}; expected a plain one, e.g. fox; change it")
