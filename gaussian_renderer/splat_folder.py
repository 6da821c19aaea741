"""Model folders and checkpoints as each program has them; our scripts open all of these folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from arguments import (
    ModelParams,
    MotionParams,
    OptionError,
    PipelineParams,
    SemanticParams,
    TrackingParams,
    load_config,
    save_config,
    save_legacy_args,
)
from gaussian_renderer.camera_file import read_cameras
from gaussian_renderer.feature_decoder import decoder_path
from gaussian_renderer.splat_source import Source
from gaussian_renderer.trained import classes_path, saved_iteration_folder
from scene.cameras import Camera, camera_record
from scene.checkpoint import checkpoint_path
from scene.datasets import read_scene
from scene.formats.ply import FEATURE_PREFIX, LABEL_PREFIX, write_ply, write_points
from scene.gaussian_model import FEATURE_NAME, PARAMETER_NAMES
from scene.layer_files import SPLAT_NAME, TABLE_NAME, LayerTable, write_table
from scene.legacy_checkpoint import LegacyState, save_legacy_checkpoint
from scene.merging import sh_degree_of, with_sh_degree
from scene.motion.deformation_field import DeformationField
from scene.motion.deformation_network import DeformationNetwork
from scene.motion.files import motion_folder, save_motion
from scene.scene import EXTENT_MARGIN, camera_extent, read_options
from scene.scene_info import PointCloud, ball_of
from utils.errors import UserError
from utils.files import read_json, save_torch, write_json
from utils.progress import warn
from utils.spherical_harmonics import sh_to_rgb

TEACHER_NAME = "teacher.json"
TEACHERS = {"feature3dgs": ("lseg", "sam")}


@dataclass(frozen=True)
class Layout:
    """What of a model a program knows."""

    features: str | None = None
    """Names of the columns of features before the number; None = it has none."""
    moves: bool = False
    """Whether it reads `deform.pth`."""
    sh_degree: int | None = None
    """The only SH degree that it reads; None = any."""
    layers: bool = False
    """Whether it has a column `layer`, and earlier layers in checkpoints."""
    decoder: bool = False


LAYOUTS = {
    "graphdeco": Layout(),
    "feature3dgs": Layout(FEATURE_PREFIX, decoder=True),
    "label3dgs": Layout(LABEL_PREFIX),
    "dgd": Layout("sem_", moves=True, sh_degree=3),
    "deformable3dgs": Layout(moves=True),
    "multilayer": Layout(layers=True),
}


@torch.no_grad()
def fitted(source: Source, layout: str) -> Source:
    """The source without what the program has no room for, which is said; its SH degree is the program's.

    Raises:
        UserError: a motion that the program cannot have.
    """
    if layout == "ours":
        return source
    known, model = LAYOUTS[layout], source.model
    if known.features is None and model.features is not None:
        warn(f"--layout {layout} has no features; left out")
        source = replace(source, model=model.with_features(None), decoder=None, classes=())
    if known.features is not None and source.decoder is not None and not known.decoder:
        warn(f"--layout {layout} has no decoder; features are written as decoded, {source.decoder.teacher_dim} wide")
        decoded = torch.cat([source.decoder(rows) for rows in model.features.split(65536)])
        source = replace(source, model=model.with_features(decoded), decoder=None)
    if known.moves and not model.motion.is_static:
        _check_motion(source, layout)
    return source


def write_model_folder(folder: Path, source: Source, layout: str, data: str) -> None:
    """Write a model folder; nothing may be there that would be replaced.

    Args:
        folder: where to.
        source: `fitted` to the layout, and still unless the layout moves.
        layout: `ours` or one of `LAYOUTS`.
        data: folder of the data set; empty = the one that the source names, if any.
    """
    known, source = LAYOUTS.get(layout, Layout(FEATURE_PREFIX)), _layer_by_layer(source)
    saved = saved_iteration_folder(folder, source.iteration)
    arrays = source.model.to_arrays()
    arrays = arrays if known.sh_degree is None else with_sh_degree(arrays, known.sh_degree)
    is_ours = layout == "ours"
    arrays = arrays if is_ours else replace(arrays, motion_code=None)
    prefix = LABEL_PREFIX if source.classes and is_ours else known.features or FEATURE_PREFIX
    has_layers = source.layers is not None
    write_ply(saved / SPLAT_NAME, arrays, prefix, source.layers.numbers if has_layers and known.layers else None)
    _write_motion(motion_folder(folder, source.iteration), source, needed=known.moves)
    if source.decoder is not None:
        source.decoder.save(decoder_path(folder, source.iteration))
    if source.classes:
        write_json(classes_path(folder), list(source.classes))
    if has_layers:
        write_table(saved / TABLE_NAME, source.layers)
    model = _write_options(folder, source, layout, data, sh_degree_of(arrays))
    _write_cameras(folder, source, model)
    _copy_json(source, folder, TEACHER_NAME)
    colors = np.clip(sh_to_rgb(arrays.f_dc[:, 0]), 0, 1)
    write_points(folder / "input.ply", PointCloud(arrays.xyz, colors))


def write_checkpoint(path: Path, source: Source, layout: str, data: str = "") -> None:
    """Write `chkpnt<N>.pth` of a program; Adam goes on if the source is a checkpoint, statistics start anew."""
    known = LAYOUTS.get(layout, Layout(FEATURE_PREFIX))
    degree = source.model.max_sh_degree if known.sh_degree is None else known.sh_degree
    arrays = with_sh_degree(source.model.to_arrays(), degree)
    wanted = (*PARAMETER_NAMES, *([FEATURE_NAME] if known.features else []))
    params = {name: torch.from_numpy(value) for name, value in arrays.named().items() if name in wanted}
    newest, earlier = _split_layers(params, source.layers if known.layers else None)
    state = LegacyState(
        params=newest,
        iteration=source.iteration,
        active_sh_degree=min(source.model.active_sh_degree, degree),
        extent=_extent(source, data),
        features_as="label" if layout == "label3dgs" else FEATURE_NAME,
        layers=earlier if known.layers else None,
        moments=source.moments,
    )
    save_legacy_checkpoint(path, state)


def checkpoint_of(folder: Path, source: Source) -> Path:
    """Where the checkpoint of a model folder goes."""
    return checkpoint_path(folder, source.iteration)


def _check_motion(source: Source, layout: str) -> None:
    """A motion that is the network of Deformable 3DGS, in the world's own units."""
    motion = source.model.motion
    if not isinstance(motion, DeformationField):
        cure = "leave --layout out, or choose a moment with --time and --layout graphdeco"
        raise UserError(f"--layout {layout} moves by the network deform_mlp, this model by {motion.kind}; {cure}")
    if motion.setup.radius != 1.0 or any(motion.setup.center):
        cure = "train with --compat_scale, or choose a moment with --time and --layout graphdeco"
        raise UserError(f"--layout {layout} knows no place for the network, this one has its own; {cure}")
    if not motion.params.compat_quat:
        warn(f"--layout {layout} does not make rotations unit ones after the offset, as this model does")


def _write_motion(folder: Path, source: Source, needed: bool) -> None:
    if needed and source.model.motion.is_static:  # the program wants one: this one never moves anything
        save_torch(folder / DeformationField.weights_name, DeformationNetwork().rest_at_first().state_dict())
        return
    save_motion(folder, source.model.motion)


def _layer_by_layer(source: Source) -> Source:
    """The Gaussians with the oldest layer first, as `layers.json` counts them."""
    if source.layers is None or (np.diff(source.layers.numbers) >= 0).all():
        return source
    order = np.argsort(source.layers.numbers, kind="stable")
    return replace(source, model=source.model.subset(torch.from_numpy(order)), layers=source.layers.part(order))


def _write_options(folder: Path, source: Source, layout: str, data: str, sh_degree: int) -> ModelParams:
    """config.json for our scripts and cfg_args for the others, with what the source says of its data set."""
    groups = {kind: _saved(source.folder, kind) for kind in (ModelParams, PipelineParams, SemanticParams, MotionParams)}
    place = os.path.abspath(data) if data else groups[ModelParams].source_path
    model = replace(groups[ModelParams], source_path=place, model_path=str(folder), sh_degree=sh_degree)
    semantic: SemanticParams = groups[SemanticParams]
    if source.classes:
        semantic = replace(semantic, foundation_model="label")
    motion = groups[MotionParams]
    if not source.model.motion.is_static:
        motion = replace(motion, motion=source.model.motion.kind)
    others = (groups[PipelineParams], semantic, motion, _saved(source.folder, TrackingParams))
    save_config(folder, model, *others)
    if layout != "ours":
        save_legacy_args(folder, model, **_further_args(source, layout, semantic))
    return model


def _further_args(source: Source, layout: str, semantic: SemanticParams) -> dict[str, object]:
    """What the program has in its cfg_args besides graphdeco's options."""
    if layout in ("feature3dgs", "label3dgs"):
        teacher = semantic.foundation_model if semantic.foundation_model in ("lseg", "sam") else "lseg"
        return {"foundation_model": teacher, "speedup": source.decoder is not None, "render_items": []}
    if not LAYOUTS[layout].moves:
        return {}
    network = getattr(source.model.motion, "network", None)
    kind = {name: bool(getattr(network, name, False)) for name in ("is_blender", "is_6dof")}
    further = {"load2gpu_on_the_fly": False, **kind}
    width = source.model.feature_dim
    return further | ({"fundation_model": "DINOv2", "semantic_dimension": width} if layout == "dgd" else {})


def _saved(folder: Path | None, kind: type):
    """Options of a model folder, or the usual ones."""
    try:
        return load_config(folder, kind) if folder is not None else kind()
    except OptionError as error:
        if folder is not None and any((folder / name).is_file() for name in ("config.json", "cfg_args")):
            raise UserError(str(error)) from None
        return kind()


def _write_cameras(folder: Path, source: Source, model: ModelParams) -> None:
    """cameras.json, of the data set if it can be read here, or else of the source's folder."""
    cameras = data_set_cameras(model) if model.source_path and Path(model.source_path).is_dir() else None
    if cameras is not None:
        write_json(folder / "cameras.json", [camera_record(camera, index) for index, camera in enumerate(cameras)])
    elif source.folder is not None and (source.folder / "cameras.json").is_file():
        read_cameras(source.folder / "cameras.json")
        _copy_json(source, folder, "cameras.json")
    if cameras is None:
        seen = f"its data set {model.source_path} is not here" if model.source_path else "no data set is known"
        warn(f"{folder}: {seen}; render.py and segment.py need it: give it with --data, or to them with -s")


def data_set_cameras(model: ModelParams) -> list[Camera]:
    """Cameras of a data set as training uses them, test views first."""
    info = read_scene(model.source_path, read_options(model))
    return [Camera.from_info(camera, uid) for uid, camera in enumerate((*info.test, *info.train))]


def _copy_json(source: Source, folder: Path, name: str) -> None:
    if source.folder is not None and (source.folder / name).is_file():
        write_json(folder / name, read_json(source.folder / name))


def _split_layers(params: Mapping[str, Tensor], table: LayerTable | None) -> tuple[dict, list[dict[str, Tensor]]]:
    """The newest layer, and the earlier ones, newest first."""
    if table is None:
        return dict(params), []
    table = table.part(slice(None))  # without layers that have no rows
    rows = [torch.from_numpy(np.flatnonzero(table.numbers == number)) for number in reversed(range(len(table.names)))]
    layers = [{name: value[index] for name, value in params.items()} for index in rows]
    return layers[0], layers[1:]


def _extent(source: Source, data: str) -> float:
    """Radius of the camera positions: of a checkpoint, the data set, cameras.json, or else that of the points."""
    if source.extent is not None:
        return source.extent
    model = _saved(source.folder, ModelParams)
    place = data or model.source_path
    if place and Path(place).is_dir():
        return camera_extent(read_scene(place, read_options(model)).train)
    if source.folder is not None and (source.folder / "cameras.json").is_file():
        centers = torch.stack([camera.center for camera in read_cameras(source.folder / "cameras.json")])
        return EXTENT_MARGIN * float((centers - centers.mean(0)).norm(dim=1).max())
    warn("no cameras are known, so the learning rate of positions is scaled by the size of the model; --data helps")
    return ball_of(source.model.means.numpy().astype(np.float64))[1] or 1.0
