"""Views by name or number, and what one camera sees moment by moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from gaussian_renderer.trajectories import sorted_by_name
from scene.cameras import Camera
from utils.errors import UserError

MOVING = "moving"  # name of the path of a single camera that is carried about


@dataclass(frozen=True)
class ViewPath:
    """One camera over T moments."""

    name: str
    """Its number in a rig, or the name of the view in which it stands; fit for a file name."""
    cameras: tuple[Camera, ...]
    """One for each moment, all of one size."""


def find_view(cameras: Sequence[Camera], asked: str, flag: str) -> Camera:
    """The view with this image name (with or without its ending), or with this number in the order of names.

    Raises:
        UserError: there is none; `flag` is what asked for it.
    """
    ordered = sorted_by_name(cameras)
    for camera in ordered:
        if asked in (camera.image_name, str(PurePosixPath(camera.image_name).with_suffix(""))):
            return camera
    if asked.isdecimal() and int(asked) < len(ordered):
        return ordered[int(asked)]
    first, last = ordered[0].image_name, ordered[-1].image_name
    raise UserError(f"{flag} is {asked}; expected 0 to {len(ordered) - 1}, or a name from {first} to {last}")


def camera_id(camera: Camera) -> int:
    """Number of the physical camera in its rig; -1 = not known."""
    return -1 if camera.info is None else camera.info.camera_id


def path_of(view: Camera, cameras: Sequence[Camera], times: Sequence[float]) -> ViewPath:
    """The physical camera of a view at these times; a view of no rig stands still."""
    number = camera_id(view)
    if number < 0:
        name = "__".join(PurePosixPath(view.image_name).with_suffix("").parts)
        return ViewPath(name, tuple(_at(view, index, time) for index, time in enumerate(times)))
    return _carried(str(number), [camera for camera in cameras if camera_id(camera) == number], times)


def all_paths(cameras: Sequence[Camera], times: Sequence[float]) -> dict[int, ViewPath]:
    """Every physical camera by its number; views without one are the path -1 of a single camera that moves."""
    groups: dict[int, list[Camera]] = {}
    for camera in cameras:
        groups.setdefault(camera_id(camera), []).append(camera)
    names = {number: MOVING if number < 0 else str(number) for number in groups}
    return {number: _carried(names[number], groups[number], times) for number in sorted(groups)}


def _carried(name: str, cameras: Sequence[Camera], times: Sequence[float]) -> ViewPath:
    """The views of one camera that are nearest to each time, at the first one's size."""
    width, height = cameras[0].width, cameras[0].height
    nearest = [min(cameras, key=lambda camera: abs(camera.time - time)) for time in times]
    moments = enumerate(zip(nearest, times, strict=True))
    return ViewPath(name, tuple(_at(view.resized(width, height), index, time) for index, (view, time) in moments))


def _at(view: Camera, index: int, time: float) -> Camera:
    return replace(view, uid=index, time=time)
