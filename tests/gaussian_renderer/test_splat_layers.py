"""Layers of a PLY: the column of Multi-Layer 3DGS, or the table beside the file."""

from __future__ import annotations

import numpy as np
import plyfile
import pytest

from gaussian_renderer.splat_layers import layer_numbers, rows_of_layers
from scene.formats import read_splats, write_splats
from tests.scene.formats.arrays import cloud
from utils.errors import UserError
from utils.files import write_json


def with_column(path, numbers, kind="<i4"):
    """A PLY as Multi-Layer 3DGS writes it: one more column behind the others."""
    write_splats(path, cloud(len(numbers), degree=1))
    data = plyfile.PlyData.read(str(path))["vertex"].data
    table = np.empty(len(data), [*data.dtype.descr, ("layer", kind)])
    for name in data.dtype.names:
        table[name] = data[name]
    table["layer"] = numbers
    plyfile.PlyData([plyfile.PlyElement.describe(table, "vertex")], byte_order="<").write(str(path))


def test_the_column_is_read_and_the_gaussians_too(tmp_path):
    with_column(tmp_path / "a.ply", [2, 2, 5, 7, 7, 7])
    assert len(read_splats(tmp_path / "a.ply")) == 6
    numbers = layer_numbers(tmp_path / "a.ply", 6)
    np.testing.assert_array_equal(numbers, [0, 0, 1, 2, 2, 2])
    np.testing.assert_array_equal(rows_of_layers(numbers, ["0,2"], tmp_path), [1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(rows_of_layers(numbers, ["1"], tmp_path), [0, 0, 1, 0, 0, 0])


def test_the_table_beside_the_file(tmp_path):
    write_splats(tmp_path / "a.ply", cloud(5, degree=0))
    assert layer_numbers(tmp_path / "a.ply", 5) is None
    write_json(tmp_path / "layers.json", {"layers": [{"name": "bones", "count": 2}, {"name": "skin", "count": 3}]})
    np.testing.assert_array_equal(layer_numbers(tmp_path / "a.ply", 5), [0, 0, 1, 1, 1])


@pytest.mark.parametrize("layers", [None, [], [3], [{"count": -1}, {"count": 6}], [{"count": 10**15}], [{"count": 4}]])
def test_tables_that_do_not_fit(tmp_path, layers):
    write_splats(tmp_path / "a.ply", cloud(5, degree=0))
    write_json(tmp_path / "layers.json", {"layers": layers})
    with pytest.raises(UserError, match="expected layers whose counts add up to 5"):
        layer_numbers(tmp_path / "a.ply", 5)


def test_layers_that_do_not_exist(tmp_path):
    with pytest.raises(UserError, match="has no layers"):
        rows_of_layers(None, ["0"], tmp_path)
    with pytest.raises(UserError, match="no layer '3'; expected some of 0, 1"):
        rows_of_layers(np.array([0, 1, 1]), ["0", "3"], tmp_path)
