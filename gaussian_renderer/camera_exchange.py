"""`convert.py --mode cameras`: cameras of a data set, a model or a path in the layouts of other programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from arguments import ExchangeParams, ModelParams, load_config
from arguments.convert_params import ConvertParams
from gaussian_renderer.camera_file import path_record, read_cameras
from gaussian_renderer.colmap_text import write_colmap_text
from gaussian_renderer.foreign_paths import (
    OPENGL,
    NerfstudioWorld,
    lost_in_nerfstudio,
    nerfstudio_path,
    transforms_document,
)
from gaussian_renderer.gltf_path import gltf_path, lost_in_gltf
from scene.cameras import Camera
from scene.datasets import read_scene
from scene.scene import read_options
from scene.scene_info import PointCloud
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.progress import say, warn

NERFSTUDIO_ENDING, GLTF_ENDING = ".nerfstudio.json", ".gltf"


@dataclass(frozen=True, eq=False)
class Views:
    """Cameras, and what is known of where they are from."""

    cameras: tuple[Camera, ...]
    points: PointCloud | None = None
    is_nerfstudio: bool = False
    """Whether they are a path that nerfstudio wrote, in its own world."""


def format_of(path: Path, wanted: str = "auto") -> str:
    """colmap, transforms, cameras, nerfstudio or gltf: what was asked for, or by the name of the output."""
    name = path.name.lower()
    if wanted != "auto":
        found = wanted
    elif name.endswith(".json"):
        plain = "transforms" if name.startswith("transforms") else "cameras"
        found = "nerfstudio" if name.endswith(NERFSTUDIO_ENDING) else plain
    else:
        found = "gltf" if name.endswith(GLTF_ENDING) else "colmap"
    ending = {"colmap": "", "gltf": GLTF_ENDING}.get(found, ".json")
    if next((known for known in (".json", GLTF_ENDING) if name.endswith(known)), "") != ending:
        kind = f"a {ending} file" if ending else "a folder"
        raise UserError(f"{path}: cameras as {found} are {kind}; expected such a name; change -o or --camera_format")
    return found


def convert_cameras(options: ConvertParams, wishes: ExchangeParams) -> None:
    """Read cameras and write them; see docs/exchange.md."""
    if bool(options.source_path) == bool(options.model_path) or not options.output:
        raise UserError("--mode cameras converts cameras; expected -s INPUT or -m MODEL, and -o OUTPUT; give them")
    output = Path(options.output)
    layout = format_of(output, wishes.camera_format)
    if (output / "sparse" / "0" if layout == "colmap" else output).exists() and not options.overwrite:
        raise UserError(f"{output} has cameras already; nothing was changed; choose another -o, or add --overwrite")
    views = read_views(Path(options.source_path or options.model_path), is_model=bool(options.model_path))
    if wishes.dataparser:
        views = _moved(views, NerfstudioWorld.load(Path(wishes.dataparser)), layout)
    write_cameras(output, views.cameras, layout, views.points)
    say(f"{len(views.cameras)} cameras in {output}, as {layout}")


def read_views(path: Path, is_model: bool) -> Views:
    """Cameras of a data set, of a model folder, or of a JSON file.

    Raises:
        UserError: it is none of these, or damaged.
    """
    if path.is_file():
        document = read_json(path)
        return Views(tuple(read_cameras(path)), None, isinstance(document, dict) and "camera_path" in document)
    if not is_model:
        return _views_of(ModelParams(source_path=str(path)))
    model = replace(load_config(path, ModelParams), model_path=str(path))
    if model.source_path and Path(model.source_path).is_dir():
        return _views_of(model)
    if (path / "cameras.json").is_file():
        warn(f"{path}: its data set {model.source_path} is not here; cameras taken from its cameras.json")
        return Views(tuple(read_cameras(path / "cameras.json")))
    raise UserError(f"{path}: neither its data set {model.source_path} nor a cameras.json is there; give -s DATASET")


def write_cameras(path: Path, cameras: Sequence[Camera], layout: str, points: PointCloud | None = None) -> None:
    """Write cameras in one of the layouts of `format_of`; says what a layout has no room for."""
    lens = [camera for camera in cameras if camera.info is not None and camera.info.distortion]
    if layout == "colmap":
        write_colmap_text(path / "sparse" / "0", cameras, points)
    elif layout == "transforms":
        write_json(path, transforms_document(cameras, path.parent.resolve()))
    elif layout == "nerfstudio":
        _warn_lost(path, [*lost_in_nerfstudio(cameras), *(["the distortion of lenses"] if lens else [])])
        write_json(path, nerfstudio_path(cameras))
    elif layout == "gltf":
        _warn_lost(path, [*lost_in_gltf(cameras), *(["the distortion of lenses"] if lens else [])])
        write_json(path, gltf_path(cameras))
    else:
        _warn_lost(path, ["the distortion of lenses"] if lens else [])
        write_json(path, [path_record(camera, index) for index, camera in enumerate(cameras)])


def _views_of(model: ModelParams) -> Views:
    """All cameras of a data set, training views first, at the size of their pictures."""
    info = read_scene(model.source_path, read_options(model))
    for note in info.warnings:
        warn(note)
    cameras = (Camera.from_info(camera, uid, resolution=1) for uid, camera in enumerate((*info.train, *info.test)))
    return Views(tuple(cameras), info.points)


def _moved(views: Views, world: NerfstudioWorld, layout: str) -> Views:
    """Out of nerfstudio's world if the cameras are its own, else into it if they go there."""
    if views.is_nerfstudio == (layout == "nerfstudio"):
        raise UserError("--dataparser is for a path from or to nerfstudio; expected just one of both; leave it out")
    move = world.out_of if views.is_nerfstudio else world.into
    return Views(tuple(_with_pose(camera, move) for camera in views.cameras))


def _with_pose(camera: Camera, move) -> Camera:
    """The camera with another pose; `move` maps camera-to-world [4, 4] in OpenGL axes."""
    pose = np.linalg.inv(camera.world_to_camera.double().numpy()) @ OPENGL
    moved = np.linalg.inv(move(pose) @ OPENGL)
    return replace(camera, world_to_camera=torch.from_numpy(moved).float(), info=None)


def _warn_lost(path: Path, lost: Sequence[str]) -> None:
    if lost:
        warn(f"{path}: this layout has no room for {', '.join(lost)}; left out")
