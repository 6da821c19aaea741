"""The dense CLIP teacher, with a small model in place of the published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.base import SceneImages
from encoders.clip import ClipTeacher
from encoders.network import Runtime
from utils.errors import UserError

open_clip = pytest.importorskip("open_clip")

CONFIG = {
    "embed_dim": 512,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 8, "vocab_size": 10, "width": 32, "heads": 1, "layers": 1},
}


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: CONFIG)
    monkeypatch.setattr(ClipTeacher, "runtime", Runtime(device="cpu"))


def test_maps_are_unit_vectors_edge_to_edge(toy_images: SceneImages) -> None:
    encoded = list(ClipTeacher(weights="random", long_side=160).encode_scene(toy_images))
    assert len(encoded) == len(toy_images.paths)
    for _, features, placement in encoded:
        assert features.shape == (8, 10, 512) and placement is None  # 80x60 as 160x128
        assert np.allclose(np.linalg.norm(features, axis=-1), 1, atol=1e-4)


def test_a_checkpoint_gives_what_its_model_gives(toy_images: SceneImages, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(open_clip.CLIP(**CONFIG).half().state_dict(), tmp_path / "clip.pt")
    random = next(ClipTeacher(weights="random", long_side=64).encode_scene(toy_images))
    loaded = next(ClipTeacher(weights=str(tmp_path / "clip.pt"), long_side=64).encode_scene(toy_images))
    assert (random.features * loaded.features).sum(-1).min() > 0.999  # the file is in half precision


def test_half_precision_changes_little(toy_images: SceneImages, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = next(ClipTeacher(weights="random", long_side=64).encode_scene(toy_images)).features
    monkeypatch.setattr(ClipTeacher, "runtime", Runtime(device="cpu", precision="bf16"))
    rounded = next(ClipTeacher(weights="random", long_side=64).encode_scene(toy_images)).features
    assert (exact * rounded).sum(-1).min() > 0.99 and not np.array_equal(exact, rounded)


def test_the_file_is_part_of_the_identity(tmp_path: Path) -> None:
    (tmp_path / "clip.pt").write_bytes(b"123")
    assert ClipTeacher(weights=str(tmp_path / "clip.pt")).options()["weights"] == "clip:3"
    assert ClipTeacher().options() == {"model": "ViT-B-16", "long_side": 640, "weights": ""}


@pytest.mark.parametrize("options", [{"model": "RN50x16"}, {"model": "x"}, {"long_side": 1}])
def test_wrong_options_are_one_line(options: dict) -> None:
    with pytest.raises(UserError, match="expected one of ViT-B-32"):
        ClipTeacher(**options)
