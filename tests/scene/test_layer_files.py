"""scene/layer_files.py: round trips, foreign files, and files that are refused."""

from __future__ import annotations

import json

import numpy as np
import plyfile
import pytest
import torch

from scene.formats.ply import read_layer_numbers, read_ply, write_ply
from scene.layer_files import (
    LayerTable,
    all_layers,
    layer_file,
    load_layers,
    read_table,
    save_layers,
    whole_arrays,
    write_model_ply,
)
from tests.layer_models import PER_BALL, ball, layered, lists_of
from utils.errors import UserError


def assert_same(found, wanted):
    """Equal names and bit-identical tensors, layer by layer."""
    assert [layer.name for layer in found] == [layer.name for layer in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.tensors.keys() == other.tensors.keys()
        assert all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())


def test_a_layer_file_holds_all_layers_bit_for_bit(tmp_path):
    model = layered(1, (3, 0))
    path = layer_file(tmp_path, 30)
    assert path.name == "layer_save_30.pth"
    save_layers(path, model, "top")
    assert_same(load_layers(path), all_layers(model, "top"))
    content = torch.load(path, weights_only=True)
    assert content["version"] == 1 and content["meta"]["names"] == ["top", "new", "old"]
    assert content["meta"]["counts"] == [PER_BALL] * 3 and content["meta"]["sh_degrees"] == [1, 0, 3]
    assert torch.equal(content["features_rest"][0], model.params["f_rest"])  # the newest first


def test_the_tuple_of_the_original_program(tmp_path):
    torch.save(lists_of(ball(2, 1), ball(1, 1)), tmp_path / "layer_save_7000.pth")
    layers = load_layers(tmp_path / "layer_save_7000.pth")
    assert [layer.name for layer in layers] == ["layer0", "layer1"]
    assert torch.equal(layers.layers[0].tensors["xyz"], ball(1).means)
    assert not layers.layers[0].tensors["xyz"].requires_grad


class Bomb:
    """Runs something when it is unpickled."""

    def __reduce__(self):
        return (print, ("boom",))


@pytest.mark.parametrize(
    "content",
    [
        Bomb(),
        (Bomb(),) * 6,
        torch.zeros(3),
        [1, 2],
        ([],) * 6,
        tuple([torch.zeros(2, 3)] for _ in range(6)),
        tuple([torch.full((2, *shape), torch.nan)] for shape in ((3,), (1, 3), (0, 3), (3,), (4,), (1,))),
        {"format": "splat-distill checkpoint", "version": 1},
        {"format": "splat-distill layers", "version": 99},
        {"format": "splat-distill layers", "version": 1, "xyz": [torch.zeros(1, 3)]},
        {"a": 1},
    ],
)
def test_what_is_no_layer_file_is_one_line(tmp_path, content, capsys):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth") as caught:
        load_layers(tmp_path / "a.pth")
    assert "\n" not in str(caught.value) and "boom" not in capsys.readouterr().out
    with pytest.raises(UserError, match="no such file"):
        load_layers(tmp_path / "b.pth")


def test_any_splat_file_is_a_layer(tmp_path):
    path = tmp_path / "statue.ply"
    write_ply(path, ball(1, 2).to_arrays())
    (layer,) = load_layers(path)
    assert (layer.name, layer.sh_degree, len(layer)) == ("statue", 2, PER_BALL)
    in_model = tmp_path / "run" / "point_cloud" / "iteration_30" / "point_cloud.ply"
    write_ply(in_model, ball(1).to_arrays())
    assert load_layers(in_model).layers[0].name == "run"


@pytest.mark.parametrize("inline", [False, True])
def test_the_final_splat_file_holds_all_layers_oldest_first(tmp_path, inline):
    model = layered(1, (3, 0))
    path = tmp_path / "point_cloud.ply"
    write_model_ply(path, model, "top", inline=inline)
    names = [line.split()[-1] for line in path.read_bytes().split(b"end_header")[0].decode().splitlines()[3:]]
    plain = [name for name in names if not name.startswith("semantic_")]
    assert len(plain) == 62 + inline and (names[-1] == "layer") == inline
    arrays = read_ply(path)
    for index, part in enumerate((ball(1, 3), ball(2), ball(0, 1))):
        np.testing.assert_array_equal(arrays.xyz[PER_BALL * index :][:PER_BALL], part.to_arrays().xyz)
    table = json.loads((tmp_path / "layers.json").read_text())["layers"]
    assert [(row["name"], row["count"], row["sh_degree"]) for row in table] == [
        ("old", PER_BALL, 3),
        ("new", PER_BALL, 0),
        ("top", PER_BALL, 1),
    ]
    again = load_layers(path)
    assert [layer.name for layer in again] == ["old", "new", "top"]
    assert torch.equal(again.layers[0].tensors["f_rest"], model.layers.layers[0].tensors["f_rest"])


def test_one_layer_is_written_as_ever(tmp_path):
    write_model_ply(tmp_path / "point_cloud.ply", ball(1, 1), "only", inline=True)
    write_ply(tmp_path / "plain.ply", ball(1, 1).to_arrays())
    assert (tmp_path / "point_cloud.ply").read_bytes() == (tmp_path / "plain.ply").read_bytes()
    assert not (tmp_path / "layers.json").exists() and read_table(tmp_path / "point_cloud.ply", PER_BALL) is None


def test_the_layer_column_of_another_program(tmp_path):
    """Its rows lie oldest first; numbers alone name the layers."""
    arrays = whole_arrays(layered())
    write_ply(tmp_path / "a.ply", arrays, layer_numbers=np.repeat([0, 1, 2], PER_BALL))
    column = plyfile.PlyData.read(str(tmp_path / "a.ply"))["vertex"]["layer"]
    assert column.dtype == np.int32 and column.tolist() == [0] * PER_BALL + [1] * PER_BALL + [2] * PER_BALL
    assert read_layer_numbers(tmp_path / "a.ply").tolist() == column.tolist()
    np.testing.assert_array_equal(read_ply(tmp_path / "a.ply").xyz, arrays.xyz)
    assert [layer.name for layer in load_layers(tmp_path / "a.ply")] == ["layer0", "layer1", "layer2"]


def test_layers_are_chosen_by_number_and_name():
    table = LayerTable(("old", "new", "new"), np.array([0, 0, 1, 2], np.int32))
    assert table.rows_of(["0,2"]).tolist() == [0, 1, 3]
    assert table.rows_of(["old", "1"]).tolist() == [0, 1, 2]
    assert table.counts == [2, 1, 1]
    part = table.part(np.array([3, 0]))
    assert part.names == ("old", "new") and part.numbers.tolist() == [1, 0]
    for wrong in ("3", "new", "-1", "skin"):
        with pytest.raises(UserError, match="0 old, 1 new, 2 new"):
            table.rows_of([wrong])


@pytest.mark.parametrize("text", ["{", "[]", '{"layers": [{"name": 1, "count": 2}]}', '{"layers": [{"name": "a"}]}'])
def test_a_damaged_table_is_one_line(tmp_path, text):
    write_ply(tmp_path / "point_cloud.ply", ball(1).to_arrays())
    (tmp_path / "layers.json").write_text(text)
    with pytest.raises(UserError, match=r"layers\.json"):
        read_table(tmp_path / "point_cloud.ply", PER_BALL)
    (tmp_path / "layers.json").write_text('{"layers": [{"name": "a", "count": 3}]}')
    with pytest.raises(UserError, match="one run"):
        read_table(tmp_path / "point_cloud.ply", PER_BALL)
