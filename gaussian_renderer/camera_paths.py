"""Which new camera paths the flags of render.py ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from arguments import RenderParams
from gaussian_renderer.camera_exchange import GLTF_ENDING, format_of, write_cameras
from gaussian_renderer.camera_file import read_cameras
from gaussian_renderer.spiral import spiral
from gaussian_renderer.time_paths import at_time, is_moving, over_time
from gaussian_renderer.trajectories import circle, in_betweens, lerp_path, orbit, slerp_path
from scene.cameras import Camera
from utils.errors import UserError
from utils.progress import say

FOLDERS = ("novel_views", "novel_views_multi_interpolate", "orbit", "circle", "spiral", "camera_path", "novel_video")
"""Folders that new paths are written to, below the model's."""

NUM_VIEWS = 200
NamedPath = tuple[str, Iterator[Camera]]  # folder, cameras


def novel_paths(options: RenderParams, cameras: Sequence[Camera]) -> list[NamedPath]:
    """(folder, cameras) of each new path.

    Time runs along them: as in the photographs that a path goes through, or else from 0 to 1.

    Raises:
        UserError: flags that do not fit together, or a file of cameras that cannot be read.
    """
    if (options.path == "file") != bool(options.camera_path):
        raise UserError("--path file and --camera_path FILE belong together; give both or neither")
    if options.save_path and not options.save_path.endswith((".json", GLTF_ENDING)):
        raise UserError(f"--save_path is {options.save_path!r}; expected the name of a .json or .gltf file; change it")
    paths = _novel_views(options, cameras) if options.novel_view or options.video else []
    if options.novel_video:
        paths.append(("novel_video", lerp_path(cameras, _count(options))))
    if options.time is not None:
        paths = [(name, at_time(path, options.time)) for name, path in paths]
    return _saved(Path(options.save_path), paths) if options.save_path else paths


def spiral_path(options: RenderParams, cameras: Sequence[Camera], num_views: int) -> Iterator[Camera]:
    """The spiral of --video, at the moment of --time."""
    path = _through_time(spiral(cameras, num_views), cameras, num_views)
    return path if options.time is None else at_time(path, options.time)


def _novel_views(options: RenderParams, cameras: Sequence[Camera]) -> list[NamedPath]:
    """What --multi_interpolate or --path asks for."""
    count = _count(options)
    if options.multi_interpolate:
        return [("novel_views_multi_interpolate", in_betweens(cameras))]
    if options.path == "file":
        return [("camera_path", iter(read_cameras(options.camera_path)))]
    known: dict[str, NamedPath] = {
        "slerp": ("novel_views", slerp_path(cameras, count)),
        "lerp": ("novel_views", lerp_path(cameras, count)),
    }
    for name, make in (("orbit", orbit), ("circle", circle), ("spiral", spiral)):
        known[name] = (name, _through_time(make(cameras, count), cameras, count))
    return [known[name] for name in (("slerp", "orbit") if options.path == "both" else (options.path,))]


def _saved(file: Path, paths: list[NamedPath]) -> list[NamedPath]:
    """The paths, after their cameras were written to a file, or of several paths to one file each."""
    if not paths:
        raise UserError("--save_path writes the cameras of new paths; expected some; add --novel_view and --path")
    saved = []
    for name, cameras in paths:
        known = tuple(cameras)
        stem, dot, ending = file.name.partition(".")
        target = file if len(paths) == 1 else file.with_name(f"{stem}_{name}{dot}{ending}")
        write_cameras(target, known, format_of(target))
        say(f"{name}: {len(known)} cameras in {target}")
        saved.append((name, iter(known)))
    return saved


def _count(options: RenderParams) -> int:
    return NUM_VIEWS if options.num_views is None else options.num_views


def _through_time(path: Iterator[Camera], photographed: Sequence[Camera], num_views: int) -> Iterator[Camera]:
    """The path while time runs from 0 to 1, if the photographs show more than one moment."""
    return over_time(path, num_views) if is_moving(photographed) else path
