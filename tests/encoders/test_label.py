"""encoders/label.py"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from encoders.label import label_maps_from_features, write_label_maps
from encoders.label_maps import open_label_maps
from utils.errors import UserError

TEXT = torch.tensor([[2.0, 0, 0, 0], [0, 0.1, 0, 0], [0, 0, 1, 1]])  # lengths do not matter


def maps_of(features: dict[str, torch.Tensor], basis: torch.Tensor | None = None) -> SimpleNamespace:
    dim = next(iter(features.values())).shape[0]
    return SimpleNamespace(names=tuple(sorted(features)), dim=dim, get=features.__getitem__, basis=basis)


def painted(ids: np.ndarray) -> torch.Tensor:
    """A feature map that points to these classes, of different lengths."""
    rows = torch.nn.functional.normalize(TEXT, dim=1)[torch.from_numpy(ids)]
    return (rows * torch.rand(*ids.shape, 1).add(0.1)).permute(2, 0, 1)


def test_each_pixel_gets_the_class_of_the_nearest_words():
    ids = np.array([[0, 1, 2], [2, 1, 0]])
    found = dict(label_maps_from_features(maps_of({"a": painted(ids), "b": painted(ids.T)}), TEXT))
    assert (found["a"] == ids).all() and (found["b"] == ids.T).all()


def test_shortened_maps_give_the_same_classes():
    ids = np.random.default_rng(0).integers(0, 3, (5, 4))
    basis = torch.linalg.qr(TEXT.T)[0]  # spans the classes
    short = torch.einsum("chw,ck->khw", painted(ids), basis)
    assert (dict(label_maps_from_features(maps_of({"a": short}, basis), TEXT))["a"] == ids).all()


def test_words_of_another_width():
    with pytest.raises(UserError, match=r"shape \[3, 4\]; expected \[K, 5\]"):
        next(label_maps_from_features(maps_of({"a": torch.rand(5, 2, 2)}), TEXT))


@pytest.mark.parametrize("count", [3, 255, 256, 1000])
def test_written_maps_come_back(tmp_path, count):
    ids = np.random.default_rng(0).integers(-1, count, (6, 7))
    ids[0, :3] = (0, count - 1, -1)
    names = [f"name {i}" for i in range(count)]
    write_label_maps(tmp_path, [("train__a", ids)], names)
    maps = open_label_maps(tmp_path, tmp_path)
    back = maps.get("train/a.jpg").numpy()
    assert ((back == -1) == (ids == -1)).all()
    assert [names[i] for i in ids[ids >= 0]] == [maps.classes[k] for k in back[back >= 0]]


@pytest.mark.parametrize("ids", [np.array([[0, 3]]), np.array([[-2, 0]]), np.zeros((2, 2)), np.zeros(3, int)])
def test_impossible_ids_are_refused_and_leave_no_complete_folder(tmp_path, ids):
    write_label_maps(tmp_path, [("a", np.array([[0, 1]]))], ["x", "y", "z"])
    with pytest.raises(UserError, match="labels of 'a' are"):
        write_label_maps(tmp_path, [("a", ids)], ["x", "y", "z"])
    assert not (tmp_path / "label_classes.json").exists()
