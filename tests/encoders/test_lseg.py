"""The LSeg teacher from pictures to cached maps, with a small network of random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders import make_teacher, open_features
from encoders.base import SceneImages, find_images, keyed
from encoders.lseg import LSegTeacher, random_network
from encoders.lseg_net.network import BACKBONES
from encoders.network import Runtime
from utils.errors import UserError

pytest.importorskip("timm")

SMALL = {"weights": "random", "backbone": "small"}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LSegTeacher, "runtime", Runtime(device="cpu"))


def encoded(images: SceneImages, **options: object) -> dict[str, np.ndarray]:
    teacher = LSegTeacher(**(SMALL | options))
    return {key: features for key, features, _ in teacher.encode_scene(images)}


@pytest.fixture(scope="module")
def two_images(toy_scene: Path) -> SceneImages:
    paths = dict(list(keyed(find_images(toy_scene)).items())[:2])
    return SceneImages(toy_scene, paths, frozenset(paths))


def test_fast_maps_are_unit_vectors_at_half_resolution(two_images: SceneImages) -> None:
    maps = encoded(two_images, long_side=128)
    for features in maps.values():
        assert features.shape == (48, 64, 512)  # the pictures are 80x60
        assert np.allclose(np.linalg.norm(features, axis=-1), 1, atol=1e-4)
    first, second = maps.values()
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.slow
def test_maps_of_other_programs_keep_their_magnitude(two_images: SceneImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "small", replace(BACKBONES["small"], dim=8))  # 26 looks: keep them cheap
    image = SceneImages(two_images.source, dict(list(two_images.paths.items())[:1]), two_images.train)
    (raw,) = encoded(image, mode="feature3dgs").values()
    (one_look,) = encoded(image, mode="fast", long_side=480, normalise=False).values()
    assert raw.shape == (60, 80, 8)
    ratio = np.linalg.norm(raw, axis=-1).mean() / np.linalg.norm(one_look, axis=-1).mean()
    assert 2.5 < ratio < 4.5  # a sum over four scales


def test_half_precision_changes_little(two_images: SceneImages, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = encoded(two_images, long_side=32)
    monkeypatch.setattr(LSegTeacher, "runtime", Runtime(device="cpu", precision="bf16"))
    rounded = encoded(two_images, long_side=32)
    for key, features in rounded.items():
        assert features.dtype == np.float32
        assert (features * exact[key]).sum(-1).mean() > 0.99
        assert not np.array_equal(features, exact[key])


def test_the_same_network_comes_every_time(two_images: SceneImages) -> None:
    torch.manual_seed(5)
    first = encoded(two_images, long_side=32)
    state = torch.random.get_rng_state()
    second = encoded(two_images, long_side=32)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_checkpoint_gives_what_its_network_gives(two_images: SceneImages, tmp_path: Path) -> None:
    path = tmp_path / "mine.ckpt"
    state = random_network(BACKBONES["small"]).state_dict()
    torch.save({"state_dict": {f"net.{name}": value for name, value in state.items()}}, path)
    expected = encoded(two_images, long_side=64)
    loaded = encoded(two_images, long_side=64, weights=str(path), backbone="clip_vitl16_384")
    assert all(np.allclose(expected[key], loaded[key], atol=1e-5) for key in expected)


def test_a_checkpoint_of_another_width_is_refused(two_images: SceneImages, tmp_path: Path) -> None:
    torch.save(random_network(BACKBONES["small"]).state_dict(), tmp_path / "mine.ckpt")
    with pytest.raises(UserError, match="512 channels; expected 768"):
        encoded(two_images, weights=str(tmp_path / "mine.ckpt"), backbone="clipRN50x16_vitl16_384")


def test_identity_follows_what_changes_the_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPLAT_DISTILL_WEIGHTS", "TORCH_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    base = LSegTeacher().options()
    assert base == LSegTeacher(long_side=640, normalise=True).options()
    assert base["weights"] == "lseg_minimal_e200"  # what would be downloaded
    changed = [{"mode": "sliding"}, {"long_side": 320}, {"normalise": False}, SMALL]
    assert all(LSegTeacher(**options).options() != base for options in changed)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "demo_e200.ckpt").write_bytes(b"12345")
    assert LSegTeacher().options()["weights"] == "demo_e200"
    assert LSegTeacher("weights/demo_e200.ckpt").options()["weights"] == "demo_e200:5"


def test_without_weights_one_line_says_where_to_get_them(two_images, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        next(LSegTeacher().encode_scene(two_images))
    assert all(part in str(caught.value) for part in ("demo_e200.ckpt", "Google Drive", "-f classical"))


@pytest.mark.parametrize("options", [{"mode": "slow"}, {"long_side": 7}, {"backbone": "resnet"}])
def test_wrong_options_are_one_line(options: dict) -> None:
    with pytest.raises(UserError, match="expected"):
        LSegTeacher(**options)


def test_dgds_name_is_understood() -> None:
    assert make_teacher("Lseg_CLIP", SMALL).name == "lseg"


def test_random_weights_are_not_silent(capsys: pytest.CaptureFixture) -> None:
    random_network(BACKBONES["small"])
    assert "RANDOM" in capsys.readouterr().err


def test_maps_are_cached(toy_scene: Path, two_images: SceneImages, tmp_path: Path) -> None:
    names = {path.name: path for path in two_images.paths.values()}
    maps = open_features(toy_scene, "Lseg_CLIP", tmp_path / "maps", names, options=SMALL | {"long_side": 64})
    assert maps.dim == 512 and len(maps.names) == 2
    assert maps.get(next(iter(names))).shape == (512, 24, 32)
