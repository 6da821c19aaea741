"""When pictures were taken: any numbers become moments from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from scene.datasets.arrays import checked_array
from scene.datasets.pictures import few, natural_key
from scene.scene_info import CameraInfo, DatasetError
from utils.files import read_json

FILE_NAME = "times.json"


def moments(numbers: Sequence[float]) -> list[float]:
    """Times in 0..1, in the given order.

    Numbers that all lie in 0..1 are moments already. Others (frame numbers, seconds) are shifted and scaled so that
    the smallest is 0 and the largest 1; frame numbers 0..n-1 thus become i / (n - 1), and gaps stay gaps.
    """
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    if low >= 0 and high <= 1:
        return [float(number) for number in numbers]
    span = high - low
    return [(number - low) / span if span > 0 else 0.0 for number in numbers]


def with_times(cameras: Sequence[CameraInfo], numbers: Sequence[float]) -> tuple[CameraInfo, ...]:
    """The cameras at the `moments` of these numbers, one for each."""
    return tuple(replace(camera, time=time) for camera, time in zip(cameras, moments(numbers), strict=True))


def scaling_note(numbers: Sequence[float], source: Path) -> list[str]:
    """One line if `moments` changes the numbers."""
    if not numbers or list(numbers) == moments(numbers):
        return []
    return [f"{source}: times {min(numbers):g} to {max(numbers):g} are used as 0 to 1"]


def require_all_or_none(untimed: Sequence[str], total: int, source: Path) -> None:
    """A data set moves or it does not: times for some of its pictures only are an error.

    Args:
        untimed: names of the pictures without a time.
        total: number of pictures.
        source: file or folder, for the message.
    """
    if 0 < len(untimed) < total:
        raise DatasetError(
            f"{source}: {len(untimed)} of {total} pictures have no time ({few(untimed)}); "
            "expected a time for all of them or for none, complete the file"
        )


def numbers_from_names(names: Sequence[str]) -> list[float]:
    """The file names as frame numbers if all are integers (`000123.png`), else their rank in natural order."""
    stems = [PurePosixPath(name).stem for name in names]
    if all(stem.isdecimal() for stem in stems):
        return [float(int(stem)) for stem in stems]
    rank = {name: float(index) for index, name in enumerate(sorted(names, key=natural_key))}
    return [rank[name] for name in names]


def read_times(source: Path, names: Sequence[str]) -> tuple[list[float], list[str]]:
    """The numbers that `times.json` gives to these images, and notes.

    Args:
        source: `{"image name": number}`; names with or without extension.
        names: all images of the data set; entries of the file for other images are ignored with one line.
    """
    table = read_json(source)
    if not isinstance(table, Mapping):
        raise DatasetError(f'{source}: is no table; expected {{"image name": number, ...}}, write it again')
    numbers = {name: float(checked_array(number, (), f"{source}: {name}")) for name, number in table.items()}
    keys = [name if name in table else name.rpartition(".")[0] for name in names]
    unknown = sorted(set(table) - set(keys))
    untimed = [name for name, key in zip(names, keys, strict=True) if key not in table]
    if len(untimed) == len(names):
        raise DatasetError(
            f"{source}: names none of the {len(names)} images; expected names like {names[0]}, correct them"
        )
    require_all_or_none(untimed, len(names), source)
    notes = [f"{source}: ignored {len(unknown)} times of other images ({few(unknown)})"] if unknown else []
    return [numbers[key] for key in keys], notes
