"""Which images are test views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scene.datasets import ReadOptions
from scene.scene_info import CameraInfo, DatasetError

Cameras = tuple[CameraInfo, ...]


def split_cameras(
    cameras: Sequence[CameraInfo], options: ReadOptions, default_list: Path | None = None
) -> tuple[Cameras, Cameras]:
    """Sorts the cameras by name and divides them into train and test.

    Args:
        cameras: all cameras of a data set.
        options: `test_list` wins; else with `eval` every `llffhold`-th image from index `test_offset` on; else
            everything is trained on.
        default_list: list used when `llffhold` is 0 (COLMAP's `test.txt`).
    """
    ordered = tuple(sorted(cameras, key=lambda camera: camera.image_name))
    names = [camera.image_name for camera in ordered]
    if options.test_list:
        test_names = read_test_list(Path(options.test_list).expanduser(), names)
    elif not options.eval:
        test_names = set()
    elif options.llffhold > 0:
        test_names = _every_nth(names, options)
    elif default_list is not None and default_list.is_file():
        test_names = read_test_list(default_list, names)
    else:
        wanted = f"needs {default_list or 'a list of test views'}, which is missing"
        raise DatasetError(f"--llffhold {options.llffhold} {wanted}; give --test_list FILE or --llffhold 8")
    return divide(ordered, test_names)


def split_parts(train: Cameras, held_out: Cameras, options: ReadOptions) -> tuple[Cameras, Cameras]:
    """Divides a data set that says itself what to hold out.

    Args:
        train: cameras of the format's training set.
        held_out: cameras of its test set, which come last when they are trained on.
        options: `test_list` wins; else with `eval` the sets are used as they are; else everything is trained on.
    """
    cameras = (*train, *held_out)
    if options.test_list:
        names = read_test_list(Path(options.test_list).expanduser(), [camera.image_name for camera in cameras])
        return divide(cameras, names)
    return (train, held_out) if options.eval else (cameras, ())


def _every_nth(names: list[str], options: ReadOptions) -> set[str]:
    if not 0 <= options.test_offset < options.llffhold:
        raise DatasetError(
            f"--test_offset is {options.test_offset}; expected 0 to {options.llffhold - 1} with --llffhold "
            f"{options.llffhold}; change one of them"
        )
    return set(names[options.test_offset :: options.llffhold])


def divide(cameras: Sequence[CameraInfo], test_names: set[str]) -> tuple[Cameras, Cameras]:
    """(train, test) in the given order; `test_names` are the image names to hold out."""
    train = tuple(camera for camera in cameras if camera.image_name not in test_names)
    return train, tuple(camera for camera in cameras if camera.image_name in test_names)


def read_test_list(path: Path, names: Sequence[str]) -> set[str]:
    """The image names that a file lists, one per line, with or without extension.

    Args:
        path: text file; blank lines and lines that start with `#` are skipped.
        names: all image names of the scene.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected a list of test images, one name per line (--test_list)")
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    by_name = {name: name for name in names}
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(name.rpartition(".")[0] or name, []).append(name)
    chosen = {match for line in wanted for match in ([by_name[line]] if line in by_name else by_stem.get(line, []))}
    unknown = [line for line in wanted if line not in by_name and line not in by_stem]
    if unknown:
        raise DatasetError(
            f"{path}: {len(unknown)} of {len(wanted)} names are not images of this scene ({', '.join(unknown[:3])}); "
            f"expected names like {names[0] if names else '(none)'}"
        )
    return chosen
