"""Which new camera paths the flags of render.py ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from arguments import RenderParams
from gaussian_renderer.camera_file import read_cameras
from gaussian_renderer.spiral import spiral
from gaussian_renderer.trajectories import circle, in_betweens, lerp_path, orbit, slerp_path
from scene.cameras import Camera
from utils.errors import UserError

FOLDERS = ("novel_views", "novel_views_multi_interpolate", "orbit", "circle", "spiral", "camera_path", "novel_video")
"""Folders that new paths are written to, below the model's."""

NamedPath = tuple[str, Iterator[Camera]]  # folder, cameras


def novel_paths(options: RenderParams, cameras: Sequence[Camera]) -> list[NamedPath]:
    """(folder, cameras) of each new path.

    Raises:
        UserError: flags that do not fit together, or a file of cameras that cannot be read.
    """
    if (options.path == "file") != bool(options.camera_path):
        raise UserError("--path file and --camera_path FILE belong together; give both or neither")
    if options.num_views < 1 or options.fps < 1:
        raise UserError(f"--num_views is {options.num_views}, --fps {options.fps}; expected at least 1; change them")
    paths = _novel_views(options, cameras) if options.novel_view or options.video else []
    if options.novel_video:
        paths.append(("novel_video", lerp_path(cameras, options.num_views)))
    return paths


def _novel_views(options: RenderParams, cameras: Sequence[Camera]) -> list[NamedPath]:
    """What --multi_interpolate or --path asks for."""
    count = options.num_views
    if options.multi_interpolate:
        return [("novel_views_multi_interpolate", in_betweens(cameras))]
    if options.path == "file":
        return [("camera_path", iter(read_cameras(options.camera_path)))]
    known: dict[str, NamedPath] = {
        "slerp": ("novel_views", slerp_path(cameras, count)),
        "lerp": ("novel_views", lerp_path(cameras, count)),
        "orbit": ("orbit", orbit(cameras, count)),
        "circle": ("circle", circle(cameras, count)),
        "spiral": ("spiral", spiral(cameras, count)),
    }
    return [known[name] for name in (("slerp", "orbit") if options.path == "both" else (options.path,))]
