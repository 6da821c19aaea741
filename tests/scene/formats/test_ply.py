"""PLY files: our own round trip, the exact header, foreign files, and damaged ones."""

from __future__ import annotations

import numpy as np
import plyfile
import pytest
import torch

from scene.formats import SplatArrays, read_splats, write_splats
from scene.formats.ply import LABEL_PREFIX, property_names, read_ply, read_points, write_ply, write_points
from scene.gaussian_model import GaussianModel
from scene.scene_info import PointCloud
from tests.helpers import data_path
from utils.errors import UserError


def random_arrays(count=5, degree=3, feature_dim=0):
    """Splats with random stored values."""
    random = np.random.default_rng(0)
    shapes = {"xyz": (3,), "f_dc": (1, 3), "f_rest": ((degree + 1) ** 2 - 1, 3)}
    shapes |= {"opacity": (1,), "scaling": (3,), "rotation": (4,)}
    values = {name: random.normal(size=(count, *shape)).astype(np.float32) for name, shape in shapes.items()}
    if feature_dim:
        values["semantic_feature"] = random.normal(size=(count, feature_dim)).astype(np.float32)
    return SplatArrays(**values)


def assert_same(one, other):
    """Equal names and values."""
    assert one.named().keys() == other.named().keys()
    for name, value in one.named().items():
        np.testing.assert_array_equal(value, other.named()[name], err_msg=name)


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("feature_dim", [0, 1, 33])
def test_round_trip(tmp_path, count, degree, feature_dim):
    arrays = random_arrays(count, degree, feature_dim)
    write_splats(tmp_path / "new" / "a.ply", arrays)
    assert_same(read_splats(tmp_path / "new" / "a.ply"), arrays)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.ply"]


def test_header_and_layout_are_what_sibr_reads(tmp_path):
    arrays = random_arrays(count=2)
    write_ply(tmp_path / "a.ply", arrays)
    header, body = (tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    lines = header.decode().splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 2"]
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(45))]
    names += ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert lines[3:] == [f"property float {name}" for name in names]
    table = np.frombuffer(body, "<f4").reshape(2, 62)
    np.testing.assert_array_equal(table[:, :3], arrays.xyz)
    np.testing.assert_array_equal(table[:, 3:6], 0)
    np.testing.assert_array_equal(table[:, 9 : 9 + 15], arrays.f_rest[:, :, 0])  # 15 red, then green, then blue
    np.testing.assert_array_equal(table[:, 9 + 15 : 9 + 30], arrays.f_rest[:, :, 1])
    np.testing.assert_array_equal(table[:, 54], arrays.opacity[:, 0])
    np.testing.assert_array_equal(table[:, 58:], arrays.rotation)


def test_feature_columns_come_last():
    names = property_names(num_rest=0, feature_dim=12)
    assert names[-13:] == ["rot_3", *(f"semantic_{index}" for index in range(12))]


def test_class_logits_have_columns_of_their_own(tmp_path):
    arrays = random_arrays(feature_dim=11)
    write_ply(tmp_path / "a.ply", arrays, LABEL_PREFIX)
    names = plyfile.PlyData.read(str(tmp_path / "a.ply"))["vertex"].data.dtype.names
    assert names[-12:] == ("rot_3", *(f"label_{index}" for index in range(11)))
    assert_same(read_ply(tmp_path / "a.ply"), arrays)


def shuffled_copy(path, target, rename=lambda name: name, drop=()):
    """The same table with its columns in another order and with other names, with a comment and a stray column."""
    data = plyfile.PlyData.read(str(path))["vertex"].data
    names = [name for name in data.dtype.names if not name.startswith(tuple(drop))] if drop else list(data.dtype.names)
    np.random.default_rng(1).shuffle(names)
    table = np.empty(len(data), [("layer", "<i4"), *((rename(name), "<f8") for name in names)])
    table["layer"] = 3
    for name in names:
        table[rename(name)] = data[name]
    element = plyfile.PlyElement.describe(table, "vertex", comments=["made elsewhere"])
    plyfile.PlyData([element], byte_order=">").write(str(target))


@pytest.mark.parametrize("prefix", ["semantic_", "sem_", "label_"])
def test_any_order_type_and_feature_prefix(tmp_path, prefix):
    arrays = random_arrays(feature_dim=11)
    write_ply(tmp_path / "a.ply", arrays)
    shuffled_copy(
        tmp_path / "a.ply", tmp_path / "b.ply", lambda name: name.replace("semantic_", prefix), drop=("nx", "ny", "nz")
    )
    assert_same(read_ply(tmp_path / "b.ply"), arrays)


def test_text_ply(tmp_path):
    arrays = random_arrays(degree=1)
    write_ply(tmp_path / "a.ply", arrays)
    data = plyfile.PlyData.read(str(tmp_path / "a.ply"))
    plyfile.PlyData([data["vertex"]], text=True).write(str(tmp_path / "b.ply"))
    read = read_ply(tmp_path / "b.ply")
    np.testing.assert_allclose(read.f_rest, arrays.f_rest, rtol=1e-5)


def test_every_truncation_is_one_line(tmp_path):
    write_ply(tmp_path / "a.ply", random_arrays(count=3))
    whole = (tmp_path / "a.ply").read_bytes()
    for length in [*range(0, len(whole) - 1, 97), len(whole) - 1]:
        (tmp_path / "a.ply").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"a.ply: not a whole PLY file") as caught:
            read_ply(tmp_path / "a.ply")
        assert "\n" not in str(caught.value)


def test_what_is_no_splat_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_ply(tmp_path / "a.ply")
    write_points(tmp_path / "a.ply", PointCloud(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)))
    with pytest.raises(UserError, match="point cloud rather than a splat"):
        read_ply(tmp_path / "a.ply")
    with pytest.raises(UserError, match=r"known endings: .*\.ply"):
        read_splats(tmp_path / "a.xyz")
    write_ply(tmp_path / "b.ply", random_arrays())
    shuffled_copy(tmp_path / "b.ply", tmp_path / "c.ply", drop=("rot_3",))
    with pytest.raises(UserError, match=r"3 scale_\* and 3 rot_\*"):
        read_ply(tmp_path / "c.ply")
    shuffled_copy(tmp_path / "b.ply", tmp_path / "c.ply", drop=("f_rest_4",))
    with pytest.raises(UserError, match="f_rest columns"):
        read_ply(tmp_path / "c.ply")


def test_non_finite_rows_are_reported_and_dropped(tmp_path, capsys):
    arrays = random_arrays(count=6)
    arrays.xyz[1, 0] = np.nan
    arrays.f_rest[4, 2, 1] = np.inf
    arrays.opacity[0, 0] = np.inf  # opacity 1, as some exporters write it
    arrays.scaling[5, 2] = -np.inf  # flat, as 2D Gaussian exporters write it
    write_ply(tmp_path / "a.ply", arrays)
    assert "4 of 6 Gaussians have values that are not finite" in capsys.readouterr().err
    read = read_ply(tmp_path / "a.ply")
    assert "dropped 2 of 6 Gaussians" in capsys.readouterr().err
    np.testing.assert_array_equal(read.xyz, arrays.xyz[[0, 2, 3, 5]])
    assert torch.sigmoid(torch.tensor(read.opacity[0])) == 1
    assert 0 < np.exp(read.scaling[3, 2]) < 1e-9


@pytest.mark.parametrize(("dtype", "values"), [("u1", [0, 51, 255]), ("<f4", [0.0, 0.2, 1.0]), (None, [0.5, 0.5, 0.5])])
def test_point_colours(tmp_path, dtype, values):
    fields = [(name, "<f8") for name in "xyz"] + ([(name, dtype) for name in ("red", "green", "blue")] if dtype else [])
    table = np.zeros(1, fields)
    for name, value in zip(("red", "green", "blue"), values, strict=True):
        if dtype:
            table[name] = value
    plyfile.PlyData([plyfile.PlyElement.describe(table, "vertex")]).write(str(tmp_path / "a.ply"))
    expected = [0.5, 0.5, 0.5] if dtype is None else [0, 0.2, 1]
    np.testing.assert_allclose(read_points(tmp_path / "a.ply").colors, [expected], atol=1e-6)


def test_points_round_trip_and_drop_nan(tmp_path, capsys):
    random = np.random.default_rng(3)
    cloud = PointCloud(random.normal(size=(4, 3)).astype(np.float32), random.integers(0, 256, (4, 3)) / np.float32(255))
    cloud.positions[2, 1] = np.nan
    write_points(tmp_path / "a.ply", cloud)
    read = read_points(tmp_path / "a.ply")
    np.testing.assert_array_equal(read.positions, cloud.positions[[0, 1, 3]])
    np.testing.assert_allclose(read.colors, cloud.colors[[0, 1, 3]], atol=1e-6)
    assert "dropped 1 of 4 points" in capsys.readouterr().err


def test_points_of_a_splat_file_have_its_colours(tmp_path):
    arrays = random_arrays()
    write_ply(tmp_path / "a.ply", arrays)
    expected = np.clip(arrays.f_dc[:, 0] * 0.28209479177387814 + 0.5, 0, 1)
    np.testing.assert_allclose(read_points(tmp_path / "a.ply").colors, expected, atol=1e-6)


def test_foreign_file_without_normals_and_f_rest(tmp_path):
    arrays = read_ply(data_path("splat_formats") / "chair_radegs.ply")
    assert arrays.xyz.shape == (37843, 3) and arrays.f_rest.shape == (37843, 0, 3)
    assert arrays.semantic_feature is None
    assert np.abs(np.median(arrays.xyz, axis=0)).max() < 1.5
    assert 1e-4 < np.exp(np.median(arrays.scaling)) < 0.1
    write_ply(tmp_path / "a.ply", arrays)
    assert_same(read_ply(tmp_path / "a.ply"), arrays)


def test_foreign_file_with_sh_3():
    path = data_path("splat_formats") / "tiny" / "sh3.ply"
    arrays = read_ply(path)
    vertices = plyfile.PlyData.read(str(path))["vertex"].data
    assert arrays.f_rest.shape == (400, 15, 3)
    np.testing.assert_array_equal(arrays.f_rest[:, 1, 2], vertices["f_rest_31"])  # coefficient 2 of blue
    np.testing.assert_array_equal(arrays.rotation[:, 0], vertices["rot_0"])
    model = GaussianModel.from_arrays(arrays)
    assert (model.max_sh_degree, model.active_sh_degree) == (3, 3)


def test_foreign_point_cloud():
    cloud = read_points(data_path("splat_formats") / "tiny" / "brush_init_points.ply")
    assert cloud.positions.shape == (100, 3) and cloud.colors.shape == (100, 3)
    assert not cloud.colors.any()  # the file's points are black
    np.testing.assert_allclose(cloud.positions[0], [-0.35553616, 0.79100704, -0.08646364], rtol=1e-6)


def test_plain_colours_take_the_place_of_constants(tmp_path):
    arrays = random_arrays(degree=0)
    write_ply(tmp_path / "a.ply", arrays)
    shuffled_copy(tmp_path / "a.ply", tmp_path / "b.ply", drop=("f_dc_0", "f_dc_1", "f_dc_2", "nx", "ny", "nz"))
    data = plyfile.PlyData.read(str(tmp_path / "b.ply"))["vertex"].data
    colors = [("red", "u1"), ("green", "u1"), ("blue", "u1")]
    table = np.zeros(len(data), [*data.dtype.descr, *colors])
    for name in data.dtype.names:
        table[name] = data[name]
    table["red"], table["green"] = 255, 51
    plyfile.PlyData([plyfile.PlyElement.describe(table, "vertex")], byte_order=">").write(str(tmp_path / "c.ply"))
    read = read_splats(tmp_path / "c.ply")
    np.testing.assert_allclose(read.f_dc[:, 0] * 0.28209479 + 0.5, [[1, 0.2, 0]] * 5, atol=1e-6)
    np.testing.assert_array_equal(read.scaling, arrays.scaling)


def test_absurd_counts_are_refused_before_anything_is_allocated(tmp_path):
    write_ply(tmp_path / "a.ply", random_arrays())
    whole = (tmp_path / "a.ply").read_bytes()
    for count in (b"6", b"999999999999", b"184467440737095516160"):
        (tmp_path / "b.ply").write_bytes(whole.replace(b"element vertex 5", b"element vertex " + count))
        with pytest.raises(UserError, match="its header announces"):
            read_splats(tmp_path / "b.ply")


def test_a_file_of_nothing_but_nan(tmp_path):
    write_ply(tmp_path / "a.ply", random_arrays().map(lambda value: np.full_like(value, np.nan)))
    with pytest.raises(UserError, match="none of its 5 Gaussians has finite values"):
        read_splats(tmp_path / "a.ply")
