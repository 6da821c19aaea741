"""Gaussians and point clouds as PLY files, in the layout that all 3DGS viewers read.

The only module that touches plyfile (GPL-3), which is imported when a file is read or written.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np

from scene.formats import FORMATS, SplatArrays
from scene.formats._common import without_non_finite
from scene.scene_info import PointCloud
from utils.errors import UserError
from utils.files import atomic_path
from utils.ply_header import read_header
from utils.progress import warn
from utils.spherical_harmonics import rgb_to_sh, sh_to_rgb

FEATURE_PREFIX, LABEL_PREFIX = "semantic_", "label_"
"""Column names of features, as in Feature 3DGS, and of class logits, as in Label-3DGS."""
FEATURE_PREFIXES = (FEATURE_PREFIX, "sem_", LABEL_PREFIX)
"""All that are read; `sem_` is DGD's."""
CODE_PREFIX = "motion_"
"""Column names of what a motion keeps about each Gaussian."""
LAYER_COLUMN = "layer"
"""Number of the layer of each Gaussian, int32, as in Multi-Layer 3DGS; 0 = the oldest."""
_REST_COUNTS = {3 * ((degree + 1) ** 2 - 1): degree for degree in range(4)}
_LOGIT_LIMIT = 30.0  # sigmoid is exactly 1 in float32 well before
_LOG_SCALE_MIN = -30.0


@FORMATS.register("ply")
class PlyFormat:
    """graphdeco's layout: 62 floats for SH degree 3, then `semantic_*` and `motion_*`."""

    extension = ".ply"
    marker = b""

    def read(self, path: Path) -> SplatArrays:
        """See `read_ply`."""
        return read_ply(path)

    def write(self, path: Path, arrays: SplatArrays) -> None:
        """See `write_ply`."""
        write_ply(path, arrays)


def property_names(
    num_rest: int, feature_dim: int = 0, feature_prefix: str = FEATURE_PREFIX, code_width: int = 0
) -> list[str]:
    """Column names in file order.

    Args:
        num_rest: number of f_rest columns, 3 (K - 1).
        feature_dim: number of semantic columns.
        feature_prefix: their name before the number.
        code_width: number of columns of the motion.
    """
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3))]
    names += [f"f_rest_{i}" for i in range(num_rest)]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    names += [f"{feature_prefix}{i}" for i in range(feature_dim)]
    return names + [f"{CODE_PREFIX}{i}" for i in range(code_width)]


def write_ply(
    path: Path | str,
    arrays: SplatArrays,
    feature_prefix: str = FEATURE_PREFIX,
    layer_numbers: np.ndarray | None = None,  # [N] int32, an optional last column
) -> None:
    """Writes Gaussians as binary little-endian float32, f_rest channel after channel; `feature_prefix` names features.

    The header starts with exactly the three lines that SIBR expects and has no comments.
    """
    count, num_rest = len(arrays), 3 * arrays.f_rest.shape[1]
    normals, rest = np.zeros((count, 3), np.float32), arrays.f_rest.transpose(0, 2, 1).reshape(count, num_rest)
    columns = [arrays.xyz, normals, arrays.f_dc.reshape(count, 3), rest]
    columns += [arrays.opacity, arrays.scaling, arrays.rotation]
    optional = (arrays.semantic_feature, arrays.motion_code)
    widths = [0 if extra is None else extra.shape[1] for extra in optional]
    columns += [extra for extra in optional if extra is not None]
    table = np.concatenate(columns, axis=1, dtype="<f4", casting="same_kind")
    names = property_names(num_rest, widths[0], feature_prefix, widths[1])
    _report_non_finite(path, table)
    kinds = [(name, "<f4") for name in names]
    if layer_numbers is not None:
        table = np.concatenate([table, layer_numbers.astype("<i4").view("<f4")[:, None]], axis=1)
        kinds.append((LAYER_COLUMN, "<i4"))
    _write_vertices(path, table.view(kinds).reshape(count))


def read_ply(path: Path | str) -> SplatArrays:
    """Reads Gaussians by column name, in any order; missing normals and f_rest are fine.

    Rows that are not finite are dropped with a warning (except infinite opacity logits, which mean 0 or 1,
    and scales of 0, which are made tiny).
    """
    vertices = _read_vertices(path)
    _require(path, vertices, ["x", "y", "z", *_color_names(vertices), "opacity"])
    count = len(vertices)
    rest_names = _numbered(vertices, "f_rest_")
    if len(rest_names) not in _REST_COUNTS:
        raise UserError(f"{path}: has {len(rest_names)} f_rest columns; expected one of {sorted(_REST_COUNTS)}")
    scale_names, rotation_names = _numbered(vertices, "scale_"), _numbered(vertices, "rot_")
    if (len(scale_names), len(rotation_names)) != (3, 4):
        found = f"{len(scale_names)} scale_* and {len(rotation_names)} rot_*"
        raise UserError(f"{path}: has {found} columns; expected 3 and 4 (a 3D Gaussian model)")
    rest = _columns(vertices, rest_names).reshape(count, 3, len(rest_names) // 3)
    opacity = np.clip(_columns(vertices, ["opacity"]), -_LOGIT_LIMIT, _LOGIT_LIMIT)
    scaling = np.maximum(_columns(vertices, scale_names), _LOG_SCALE_MIN)
    feature_names = next((found for prefix in FEATURE_PREFIXES if (found := _numbered(vertices, prefix))), [])
    code_names = _numbered(vertices, CODE_PREFIX)
    arrays = SplatArrays(
        xyz=_columns(vertices, ["x", "y", "z"]),
        f_dc=_base_colors(vertices).reshape(count, 1, 3),
        f_rest=np.ascontiguousarray(rest.transpose(0, 2, 1)),
        opacity=opacity,
        scaling=scaling,
        rotation=_columns(vertices, rotation_names),
        semantic_feature=_columns(vertices, feature_names) if feature_names else None,
        motion_code=_columns(vertices, code_names) if code_names else None,
    )
    return without_non_finite(path, arrays)


def read_layer_numbers(path: Path | str) -> np.ndarray | None:
    """Column `layer` [N] of a splat file, in the order of its rows; None = it has none."""
    vertices = _read_vertices(path)
    return vertices[LAYER_COLUMN].astype(np.int32) if LAYER_COLUMN in vertices.dtype.names else None


def read_points(path: Path | str) -> PointCloud:
    """Reads positions and colours of a point cloud; also of a splat file, whose colours are the SH constants.

    Colours may be bytes or floats in 0..1; without colours the points are mid grey.
    """
    vertices = _read_vertices(path)
    _require(path, vertices, ["x", "y", "z"])
    positions = _columns(vertices, ["x", "y", "z"])
    colors = _colors(vertices)
    finite = np.isfinite(positions).all(axis=1) & np.isfinite(colors).all(axis=1)
    if not finite.all():
        warn(f"{path}: dropped {int((~finite).sum())} of {len(finite)} points that are not finite")
    return PointCloud(positions[finite], colors[finite])


def write_points(path: Path | str, cloud: PointCloud) -> None:
    """Writes a point cloud as `x y z nx ny nz red green blue`, the form of 3DGS's `input.ply`."""
    names = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    vertices = np.zeros(len(cloud), [*names, *((name, "u1") for name in ("red", "green", "blue"))])
    for axis, name in enumerate("xyz"):
        vertices[name] = cloud.positions[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = np.rint(np.clip(cloud.colors[:, channel], 0, 1) * 255)
    _write_vertices(path, vertices)


def _plyfile() -> ModuleType:
    try:
        import plyfile
    except ImportError as error:
        raise UserError("reading and writing .ply needs plyfile, which is missing; run: pip install plyfile") from error
    return plyfile


def _write_vertices(path: Path | str, vertices: np.ndarray) -> None:
    plyfile = _plyfile()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    element = plyfile.PlyElement.describe(vertices, "vertex")
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        plyfile.PlyData([element], text=False, byte_order="<").write(stream)


def _read_vertices(path: Path | str) -> np.ndarray:
    """The structured array of the element `vertex`; anything wrong becomes one line."""
    plyfile = _plyfile()
    read_header(path)  # whether the file is as long as it says, before anything is allocated
    try:
        data = plyfile.PlyData.read(str(path))
    except (plyfile.PlyParseError, ValueError, EOFError, MemoryError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a whole PLY file ({reason}); copy or export it again") from error
    if "vertex" not in data:
        found = ", ".join(element.name for element in data.elements) or "none"
        raise UserError(f"{path}: has no element 'vertex' (found: {found}); expected a point cloud or splat file")
    vertices = data["vertex"].data
    if vertices.dtype.hasobject:
        raise UserError(f"{path}: its vertices hold lists; expected plain numbers, export it as points")
    return vertices


def _require(path: Path | str, vertices: np.ndarray, names: list[str]) -> None:
    missing = [name for name in names if name not in vertices.dtype.names]
    if missing:
        hint = "is it a point cloud rather than a splat file?" if "f_dc_0" in missing else "export it with positions"
        raise UserError(f"{path}: columns {', '.join(missing)} are missing; {hint}")


def _numbered(vertices: np.ndarray, prefix: str) -> list[str]:
    """Columns `prefix<number>`, sorted by the number."""
    pattern = re.compile(re.escape(prefix) + r"\d+")
    names = [name for name in vertices.dtype.names if pattern.fullmatch(name)]
    return sorted(names, key=lambda name: int(name[len(prefix) :]))


def _columns(vertices: np.ndarray, names: list[str]) -> np.ndarray:
    """[N, len(names)] float32."""
    table = np.empty((len(vertices), len(names)), np.float32)
    for index, name in enumerate(names):
        table[:, index] = vertices[name]
    return table


def _color_names(vertices: np.ndarray) -> list[str]:
    """Columns of the base colour of Gaussians: SH constants, or as some programs have it plain colours."""
    plain = ["red", "green", "blue"]
    has_plain = "f_dc_0" not in vertices.dtype.names and all(name in vertices.dtype.names for name in plain)
    return plain if has_plain and "opacity" in vertices.dtype.names else ["f_dc_0", "f_dc_1", "f_dc_2"]


def _base_colors(vertices: np.ndarray) -> np.ndarray:
    """[N, 3] SH constants."""
    names = _color_names(vertices)
    return _columns(vertices, names) if names[0] == "f_dc_0" else rgb_to_sh(_colors(vertices)).astype(np.float32)


def _colors(vertices: np.ndarray) -> np.ndarray:
    """[P, 3] float32 in 0..1 from whichever colour columns there are."""
    available = vertices.dtype.names
    for names in (["red", "green", "blue"], ["r", "g", "b"], ["diffuse_red", "diffuse_green", "diffuse_blue"]):
        if all(name in available for name in names):
            colors = _columns(vertices, names)
            is_bytes = vertices.dtype[names[0]].kind in "ui"
            return np.clip(colors / 255 if is_bytes else colors, 0, 1)
    if all(f"f_dc_{channel}" in available for channel in range(3)):
        return np.clip(sh_to_rgb(_columns(vertices, [f"f_dc_{channel}" for channel in range(3)])), 0, 1)
    return np.full((len(vertices), 3), 0.5, np.float32)


def _report_non_finite(path: Path | str, table: np.ndarray) -> None:
    bad = int((~np.isfinite(table)).any(axis=1).sum())
    if bad:
        warn(f"{path}: {bad} of {len(table)} Gaussians have values that are not finite (written as they are)")
