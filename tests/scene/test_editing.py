"""Edits: what the file may say, who is meant, and what becomes of the Gaussians."""

import math

import pytest
import torch

from scene.editing import (
    CANONICAL_NEGATIVES,
    Edit,
    apply_edit,
    belongs,
    class_probabilities,
    load_edit,
    selections,
    target_ids,
)
from tests.blobs import blob_labels, blob_model
from tests.helpers import ROOT
from utils.errors import UserError

GOOD = {"objects": '["car", "tree", "road"]', "operations": "deletion", "targets": "car", "threshold": "0.4"}
OBJECTS = tuple("abcde")


def write(tmp_path, **changes):
    lines = [f"  {key}: {value}" for key, value in (GOOD | changes).items() if value is not None]
    path = tmp_path / "edit.yaml"
    path.write_text("edit:\n" + "\n".join(lines) + "\n")
    return path


# --- who is meant (semantic.md, Appendix C 7) ---

COSINES = torch.tensor([[0.30, 0.20, 0.20, 0.20, 0.20]])


def test_probabilities_of_five_objects_at_temperature_one():
    expected = torch.tensor([[0.2165, 0.1959, 0.1959, 0.1959, 0.1959]])
    torch.testing.assert_close(class_probabilities(COSINES), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("target", range(5))
def test_deletion_at_0_198_takes_the_likeliest_object_only(target):
    edit = Edit(OBJECTS, ("deletion",), (OBJECTS[target],), 0.198)
    chosen = selections(edit, class_probabilities(COSINES), target_ids(edit.names, edit.targets))
    assert chosen["deletion"].tolist() == [target == 0]


def test_extraction_at_0_24_misses_even_the_likeliest_object():
    edit = Edit(OBJECTS, ("extraction",), ("a",), 0.24)
    assert not selections(edit, class_probabilities(COSINES), [0])["extraction"].any()


def test_a_low_temperature_makes_the_same_threshold_sensible():
    assert class_probabilities(COSINES, 0.05)[0, 0] == pytest.approx(1 / (1 + 4 * math.exp(-2)))


def test_without_a_threshold_the_likeliest_decides():
    scores = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.3, 0.4, 0.3]])
    assert belongs(scores, [0], None).tolist() == [True, False, False]
    assert belongs(scores, [0, 1], None).tolist() == [True, False, True]


def test_targets_share_their_probability_and_count_once():
    scores = torch.tensor([[0.3, 0.3, 0.4]])
    assert belongs(scores, [0, 1], 0.6).tolist() == [True] and belongs(scores, [0, 1, 1], 0.7).tolist() == [False]


def test_deletion_takes_what_is_likeliest_or_reaches_the_threshold():
    scores = torch.tensor([[0.45, 0.55], [0.55, 0.45], [0.2, 0.8]])
    assert belongs(scores, [0], 0.4, or_likeliest=True).tolist() == [True, True, False]
    assert belongs(scores, [0], 0.6, or_likeliest=True).tolist() == [False, True, False]
    assert belongs(scores, [0], 0.6).tolist() == [False, False, False]


def test_one_object_is_compared_by_its_cosine():
    cosines = torch.tensor([[0.9], [0.1], [-0.5]])
    assert torch.equal(class_probabilities(cosines, 0.1), cosines)
    assert belongs(cosines, [0], 0.5, or_likeliest=True).tolist() == [True, False, False]


def test_what_was_never_seen_is_nothing():
    probabilities = class_probabilities(torch.tensor([[0.0, 0.0], [0.6, 0.1]]))
    assert probabilities[0].tolist() == [0.0, 0.0]
    for threshold in (None, 0.3):
        assert belongs(probabilities, [0], threshold, or_likeliest=True).tolist() == [False, True]


def test_target_order_and_position_do_not_matter():
    """The original failed when a target's place among the objects was not below the number of targets."""
    assert target_ids(["car", "tree", "side walk"], ["side_walk", "CAR"]) == [2, 0]
    edit = Edit(("car", "side walk"), ("deletion", "extraction"), ("side walk", "car"))
    assert edit.label == "deletion_side_walk"


# --- what happens ---


def test_deletion_and_extraction_are_complements():
    model, ball = blob_model(), blob_labels() == 1
    without, only = apply_edit(model, {"deletion": ball}), apply_edit(model, {"extraction": ball})
    assert torch.equal(without.means, model.means[~ball]) and torch.equal(only.means, model.means[ball])
    assert only.feature_dim == model.feature_dim
    assert len(apply_edit(model, {"deletion": ball, "extraction": ball})) == 0


def test_colours_change_on_the_selection_only_and_on_a_copy():
    model, ball = blob_model(), blob_labels() == 2
    before = model.sh.detach().clone()
    edited = apply_edit(model, {"color_func": ball}, lambda sh: sh + 1)
    torch.testing.assert_close(edited.sh[ball], before[ball] + 1)
    assert torch.equal(edited.sh[~ball], before[~ball]) and torch.equal(model.sh, before)
    assert torch.equal(edited.params["opacity"], model.params["opacity"])


def test_all_operations_together():
    edit = Edit(("a", "b", "c"), ("color_func", "deletion"), ("a",), None, lambda sh: sh * 0)
    scores = torch.eye(3)[blob_labels()]
    chosen = selections(edit, scores, [0])
    assert list(chosen) == ["deletion", "color_func"], "in the order of their application"
    assert len(apply_edit(blob_model(), chosen, edit.recolor)) == 80


# --- the file ---


def test_the_shipped_files_are_read():
    pytest.importorskip("yaml")
    paths = sorted((ROOT / "configs" / "edit").glob("*.yaml"))
    assert [load_edit(path).operations for path in paths] == [("color_func",), ("deletion",), ("extraction",)]


def test_the_schema_of_feature_3dgs(tmp_path):
    pytest.importorskip("yaml")
    colors = {"operations": '"extraction, color_func"', "colorFunc": '"lambda color: color[:, [2,1,0]]"'}
    edit = load_edit(write(tmp_path, objects='["side_walk", "car"]', targets='"car,side_walk"', **colors))
    assert edit.objects == ("side walk", "car") and edit.targets == ("car", "side walk")
    assert edit.operations == ("extraction", "color_func") and edit.threshold == 0.4 and edit.recolor is not None
    assert (edit.temperature, edit.negatives, edit.template) == (1.0, (), "none")
    assert load_edit(write(tmp_path, threshold="")).threshold is None
    assert load_edit(write(tmp_path, threshold='""')).threshold is None


def test_our_own_keys(tmp_path):
    pytest.importorskip("yaml")
    ours = {"temperature": "0.1", "canonical_negatives": "true", "template": '"a photo of a {}."'}
    edit = load_edit(write(tmp_path, **ours))
    assert edit.temperature == 0.1 and edit.template == "a photo of a {}."
    assert edit.names == ("car", "tree", "road", *CANONICAL_NEGATIVES)
    assert load_edit(write(tmp_path, canonical_negatives="[sky, sea]")).negatives == ("sky", "sea")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": "bus"}, "'bus' is none of the objects; there are car, tree, road"),
        ({"operations": "paint"}, "'paint' is unknown; expected deletion, extraction, color_func"),
        ({"operations": "color_func"}, "colorFunc is None"),
        ({"operations": "color_func", "colorFunc": "\"lambda color: exec('')\""}, "colorFunc has"),
        ({"threshold": "high"}, "threshold is 'high'"),
        ({"threshold": ".nan"}, "threshold is nan"),
        ({"threshold": "true"}, "threshold is True"),
        ({"temperature": "0"}, "more than 0"),
        ({"objects": "[]"}, "expected the key 'edit' with objects"),
        ({"objects": "[1, 2]"}, "expected words"),
        ({"objects": "[car, car]"}, "a word twice"),
        ({"objects": None}, "expected the key 'edit'"),
        ({"objects": "[car]", "threshold": None}, "one object and no threshold"),
        ({"treshold": "0.3"}, "did you mean threshold"),
        ({"template": "3"}, "template is 3"),
        ({"objects": "!!python/object/apply:os.system ['true']"}, "is not valid YAML"),
        ({"objects": '["car"'}, "is not valid YAML"),
        ({"objects": "[" * 5000}, "not valid YAML"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_name(tmp_path, changes, message):
    pytest.importorskip("yaml")
    with pytest.raises(UserError, match=message) as caught:
        load_edit(write(tmp_path, **changes))
    assert "edit.yaml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"edit: 3", b"- a", b"\xff\xfe\x00bad", b"x" * 100_000])
def test_a_file_of_something_else_is_one_line(tmp_path, content):
    pytest.importorskip("yaml")
    path = tmp_path / "edit.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match="edit.yaml"):
        load_edit(path)


def test_without_pyyaml_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(UserError, match="pip install pyyaml"):
        load_edit(write(tmp_path))
