"""Compressed PLY of PlayCanvas and SuperSplat: 16 bytes for each Gaussian, in chunks of 256 with ranges of their own.

| element | columns |
|---|---|
| `chunk` | float `min_*`, `max_*` of `x y z`, `scale_x _y _z` (logarithms), `r g b` (absent = 0..1) |
| `vertex` | uint `packed_position`, `packed_scale` (11, 10, 11 bits), `packed_color` (rgba), `packed_rotation` |
| `sh` | uchar `f_rest_*`, channel after channel, -4..4 in 256 steps; absent without |

A rotation is two bits that name the largest component of the quaternion wxyz, and the three others in 10 bits each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scene.formats import FORMATS, SplatArrays
from scene.formats._common import (
    LOG_SCALE_LIMIT,
    logit_of,
    opacity_of,
    unit_quaternions,
    warn_left_out,
    without_non_finite,
)
from utils.errors import UserError
from utils.files import atomic_path
from utils.morton import morton_order
from utils.ply_header import PlyHeader, read_header, read_rows
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb

CHUNK = 256
REST_RANGE = 8.0  # of the coefficients in bytes: -4..4
VECTOR_BITS, COLOR_BITS = (11, 10, 11), (8, 8, 8, 8)
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
RANGES = {"position": "xyz", "scale": ("scale_x", "scale_y", "scale_z"), "color": "rgb"}
LARGEST = np.sqrt(0.5)  # of a component of a unit quaternion that is not the largest one


@FORMATS.register("compressed_ply")
class CompressedPly:
    """About 15 times smaller than a PLY with SH degree 3; what is lost is too small to see."""

    extension = ".compressed.ply"
    marker = b"property uint packed_position"

    def read(self, path: Path) -> SplatArrays:
        """Reads a file."""
        header = read_header(path)
        vertices, chunks = _checked_rows(path, header)
        number = np.arange(len(vertices)) // CHUNK
        xyz = _from_range(chunks, "position", _unpacked(vertices["packed_position"], VECTOR_BITS), number)
        scaling = _from_range(chunks, "scale", _unpacked(vertices["packed_scale"], VECTOR_BITS), number)
        colors = _unpacked(vertices["packed_color"], COLOR_BITS)
        rgb = _from_range(chunks, "color", colors[:, :3], number)
        arrays = SplatArrays(
            xyz=xyz.astype(np.float32),
            f_dc=rgb_to_sh(rgb).astype(np.float32)[:, None],
            f_rest=_rest(path, header, len(vertices)),
            opacity=logit_of(colors[:, 3:]),
            scaling=np.clip(scaling, -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT).astype(np.float32),
            rotation=_unpacked_rotation(vertices["packed_rotation"]).astype(np.float32),
        )
        return without_non_finite(path, arrays)

    def write(self, path: Path, arrays: SplatArrays) -> None:
        """Writes a file, neighbours beside each other: the smaller a chunk is, the finer are its steps."""
        warn_left_out(path, arrays, has_rest=True)
        arrays = without_non_finite(path, arrays)
        order = morton_order(arrays.xyz)
        arrays = arrays.map(lambda value: value[order])
        scaling = np.clip(arrays.scaling, -LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)
        values = {"position": arrays.xyz, "scale": scaling, "color": sh_to_rgb(arrays.f_dc[:, 0])}
        low, high = {}, {}
        for kind, value in values.items():
            low[kind], high[kind] = _chunk_ranges(value)
        shares = {kind: _share(value, low[kind], high[kind]) for kind, value in values.items()}
        opacity = np.clip(opacity_of(arrays.opacity), 0, 1)
        packed = {
            "packed_position": _packed(shares["position"], VECTOR_BITS),
            "packed_rotation": _packed_rotation(arrays.rotation),
            "packed_scale": _packed(shares["scale"], VECTOR_BITS),
            "packed_color": _packed(np.concatenate([shares["color"], opacity], axis=1), COLOR_BITS),
        }
        columns = [low["position"], high["position"], low["scale"], high["scale"], low["color"], high["color"]]
        _write(path, np.concatenate(columns, axis=1), packed, _rest_bytes(arrays.f_rest))


def _checked_rows(path: Path, header: PlyHeader) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `vertex` and `chunk`; every column that is needed is there, and there are enough chunks."""
    kinds = {name: dict(element.properties) for name in ("vertex", "chunk") if (element := header.element(name))}
    ranged = [kind for kind in RANGES if kind != "color" or "min_r" in kinds.get("chunk", {})]
    ranges = {f"{end}_{axis}": "f4" for kind in ranged for axis in RANGES[kind] for end in ("min", "max")}
    for element, columns in (("vertex", dict.fromkeys(PACKED, "u4")), ("chunk", ranges)):
        found = kinds.get(element, {})
        if missing := [name for name, kind in columns.items() if found.get(name) != kind]:
            raise UserError(f"{path}: {element} has no {missing[0]}; expected a compressed PLY; export it again")
    vertices, chunks = read_rows(path, header, "vertex"), read_rows(path, header, "chunk")
    needed = -(-len(vertices) // CHUNK)
    if len(chunks) != needed:
        raise UserError(
            f"{path}: {len(chunks)} chunks of {len(vertices)} Gaussians; expected {needed}; export it again"
        )
    return vertices, chunks


def _from_range(chunks: np.ndarray, kind: str, share: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Values [N, 3] from shares 0..1 of the ranges of the chunks that Gaussians are in; old files have no `color`."""
    if kind == "color" and "min_r" not in chunks.dtype.names:
        return share
    low, high = (np.stack([chunks[f"{end}_{axis}"] for axis in RANGES[kind]], axis=1) for end in ("min", "max"))
    return low.astype(np.float64)[number] * (1 - share) + high.astype(np.float64)[number] * share


def _unpacked(words: np.ndarray, bits: tuple[int, ...]) -> np.ndarray:
    """[N, len(bits)] shares 0..1, the first in the highest bits."""
    parts, shift = [], 32
    for width in bits:
        shift -= width
        limit = (1 << width) - 1
        parts.append(((words >> np.uint32(shift)) & np.uint32(limit)) / limit)
    return np.stack(parts, axis=1)


def _packed(shares: np.ndarray, bits: tuple[int, ...]) -> np.ndarray:
    """[N] uint32 of shares [N, len(bits)] in 0..1."""
    words, shift = np.zeros(len(shares), np.uint32), 32
    for width, share in zip(bits, shares.T, strict=True):
        shift -= width
        words |= np.rint(share * ((1 << width) - 1)).astype(np.uint32) << np.uint32(shift)
    return words


def _unpacked_rotation(words: np.ndarray) -> np.ndarray:
    """[N, 4] wxyz of length 1."""
    largest = (words >> np.uint32(30)).astype(np.intp)
    shares = np.stack([((words >> np.uint32(shift)) & np.uint32(1023)) / 1023 for shift in (20, 10, 0)], axis=1)
    others = (shares * 2 - 1) * LARGEST
    quats = np.empty((len(words), 4))
    np.put_along_axis(quats, _other_components(largest), others, axis=1)
    rest = np.sqrt(np.clip(1 - (others**2).sum(axis=1), 0, 1))
    np.put_along_axis(quats, largest[:, None], rest[:, None], axis=1)
    return quats


def _packed_rotation(rotation: np.ndarray) -> np.ndarray:
    """[N] uint32 of quaternions [N, 4] of any length, whose largest component is made positive."""
    quats = unit_quaternions(rotation)
    largest = np.abs(quats).argmax(axis=1)
    quats = quats * np.where(np.take_along_axis(quats, largest[:, None], axis=1) < 0, -1, 1)
    others = np.take_along_axis(quats, _other_components(largest), axis=1)
    steps = np.rint(np.clip(others / LARGEST / 2 + 0.5, 0, 1) * 1023).astype(np.uint32)
    words = largest.astype(np.uint32) << np.uint32(30)
    return words | steps[:, 0] << np.uint32(20) | steps[:, 1] << np.uint32(10) | steps[:, 2]


def _other_components(largest: np.ndarray) -> np.ndarray:
    """[N, 3] numbers of the components that are not the largest one, in rising order."""
    return np.array([[i for i in range(4) if i != skipped] for skipped in range(4)])[largest]


def _chunk_ranges(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value [chunks, D] float32 of values [N, D] in each chunk."""
    starts = np.arange(0, len(values), CHUNK)
    if len(starts) == 0:
        return np.zeros((0, values.shape[1]), "<f4"), np.zeros((0, values.shape[1]), "<f4")
    ends = (np.minimum, np.maximum)
    low, high = (end.reduceat(values, starts, axis=0).astype("<f4") for end in ends)
    return low, high


def _share(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where values [N, D] are between the ends of their chunk's range, 0..1."""
    number = np.arange(len(values)) // CHUNK
    width = (high.astype(np.float64) - low)[number]
    return np.clip((values - low.astype(np.float64)[number]) / np.where(width > 0, width, 1), 0, 1)


def _rest(path: Path, header: PlyHeader, count: int) -> np.ndarray:
    """[N, K - 1, 3] float32."""
    element = header.element("sh")
    if element is None:
        return np.zeros((count, 0, 3), np.float32)
    names = [f"f_rest_{index}" for index in range(len(element.properties))]
    if sorted(element.properties) != sorted((name, "u1") for name in names) or len(names) not in (9, 24, 45):
        raise UserError(f"{path}: sh has {len(names)} columns; expected uchar f_rest_* (9, 24 or 45); export it again")
    if element.count != count:
        raise UserError(f"{path}: {element.count} rows of sh for {count} Gaussians; expected equally many")
    rows = read_rows(path, header, "sh")
    steps = np.stack([rows[name] for name in names], axis=1).astype(np.float32)
    rest = ((steps + 0.5) / 256 - 0.5) * REST_RANGE
    return np.ascontiguousarray(rest.reshape(count, 3, len(names) // 3).transpose(0, 2, 1), np.float32)


def _rest_bytes(f_rest: np.ndarray) -> np.ndarray:
    """[N, 3 (K - 1)] uint8."""
    rows = f_rest.transpose(0, 2, 1).reshape(len(f_rest), 3 * f_rest.shape[1])
    return np.clip(np.floor((rows / REST_RANGE + 0.5) * 256), 0, 255).astype(np.uint8)


def _write(path: Path, chunks: np.ndarray, packed: dict[str, np.ndarray], rest: np.ndarray) -> None:
    count = len(rest)
    ranges = [f"{end}_{axis}" for kind in RANGES for end in ("min", "max") for axis in RANGES[kind]]
    lines = ["ply", "format binary_little_endian 1.0", f"element chunk {len(chunks)}"]
    lines += [f"property float {name}" for name in ranges]
    lines += [f"element vertex {count}", *(f"property uint {name}" for name in PACKED)]
    if rest.shape[1]:
        lines += [f"element sh {count}", *(f"property uchar f_rest_{index}" for index in range(rest.shape[1]))]
    vertices = np.stack([packed[name] for name in PACKED], axis=1).astype("<u4")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode())
        file.write(chunks.astype("<f4").tobytes() + vertices.tobytes() + rest.tobytes())
