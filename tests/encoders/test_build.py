"""Caches that are filled in parts: resumed, shared between processes, shortened. With a network of one layer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from encoders.base import EncodedMap, Placement, SceneImages
from encoders.build import Share, build_cache
from encoders.cache import CacheFolder, LegacyFolder
from encoders.compression import fit_basis, shorten
from encoders.network import NetworkTeacher, Runtime
from tests.helpers import ROOT, maps_of

SIZES = [(8, 6), (8, 6), (8, 6), (4, 6), (8, 6)]  # (width, height) px


class Blur(NetworkTeacher):
    """Every picture as twelve fixed mixtures of its 2x2 patches."""

    name, dim, batch = "blur", 12, 2

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Conv2d(3, self.dim, 2, stride=2)

    def prepare(self, image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(image).permute(2, 0, 1).float() / 255

    def encode(self, network: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(batch.shape))
        return network(batch)

    def options(self) -> dict:
        return {}


class Padded(Blur):
    """Shows the first column of cells only."""

    def place(self, features, size):
        return features[..., :1], Placement(0.1, 0.2, 0.25, 0.5)


@pytest.fixture
def images(tmp_path: Path) -> SceneImages:
    paths, rng = {}, np.random.default_rng(0)
    for number, (width, height) in enumerate(SIZES):
        paths[f"v{number}"] = tmp_path / f"v{number}.png"
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(paths[f"v{number}"])
    return SceneImages(tmp_path, paths, frozenset(paths))


def test_batches_hold_neighbours_of_one_size_and_change_nothing(images):
    single, batched = Blur(), Blur()
    batched.runtime = Runtime(batch=2)
    right, ours = maps_of(single.encode_scene(images)), maps_of(batched.encode_scene(images))
    assert [shape[0] for shape in single.seen] == [1] * 5 and [shape[0] for shape in batched.seen] == [2, 1, 1, 1]
    for key in images.paths:
        np.testing.assert_allclose(ours[key], right[key], atol=1e-6)
    assert list(right) == list(images.paths) and right["v3"].shape == (3, 2, 12)


def test_a_stopped_build_goes_on(images, tmp_path, monkeypatch):
    calls = []
    encode = Blur.encode

    def stop_at_third(self, network, batch):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, network, batch)

    monkeypatch.setattr(Blur, "encode", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        build_cache(Blur(), images, tmp_path / "maps")
    assert not (tmp_path / "maps/manifest.json").exists()
    maps = build_cache(Blur(), images, tmp_path / "maps")
    assert len(calls) == 3 + 3 and maps.names == tuple(images.paths)
    np.testing.assert_allclose(maps.get("v4"), maps_of(Blur().encode_scene(images))["v4"].transpose(2, 0, 1), atol=1e-3)


def test_other_pictures_begin_anew(images, tmp_path):
    build_cache(Blur(), images, tmp_path / "maps")
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(images.paths["v1"])
    teacher = Blur()
    build_cache(teacher, images, tmp_path / "maps")
    assert len(teacher.seen) == 5


def test_processes_share_the_pictures_and_the_last_completes(images, tmp_path):
    first, second = Blur(), Blur()
    assert build_cache(first, images, tmp_path / "maps", share=Share(0, 2)) is None
    maps = build_cache(second, images, tmp_path / "maps", share=Share(1, 2))
    assert (len(first.seen), len(second.seen)) == (3, 2) and maps.names == tuple(images.paths)


def test_placements_are_kept(images, tmp_path):
    maps = build_cache(Padded(), images, tmp_path / "maps")
    assert maps.placement("v0") == Placement(0.1, 0.2, 0.25, 0.5) and maps.get("v0").shape == (12, 3, 1)


def test_shortened_maps_are_the_projection(images, tmp_path):
    """Patches have rank 12 (2x2x3), so 11 of 12 directions lose something, and the span keeps the rest."""
    full = build_cache(Blur(), images, tmp_path / "full")
    short = build_cache(Blur(), images, tmp_path / "short", width=11)
    assert short.dim == 11 and short.basis.shape == (12, 11) and full.basis is None
    torch.testing.assert_close(short.basis.T @ short.basis, torch.eye(11), atol=1e-5, rtol=0)
    decoded = torch.einsum("ck,khw->chw", short.basis, short.get("v2").float())
    error = (decoded - full.get("v2").float()).norm() / full.get("v2").float().norm()
    assert 1e-4 < error < 0.2
    word = torch.randn(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        torch.einsum("k,khw->hw", short.basis.T @ word, short.get("v2").float()),
        torch.einsum("c,chw->hw", word, decoded),
        atol=1e-4,
        rtol=1e-4,
    )


def test_a_basis_of_maps_with_few_directions_is_exact():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 9)) + 5 * rng.normal(size=9)
    basis = fit_basis([EncodedMap("a", rows.reshape(5, 10, 9))], 1, 4)
    assert basis.explained > 1 - 1e-9 and basis.cosine > 1 - 1e-6
    np.testing.assert_allclose(shorten(rows[None], basis.axes) @ basis.axes.numpy().T, rows[None], atol=1e-4)
    with pytest.raises(ValueError, match="--pca is 9, the maps have 9 channels"):
        fit_basis([EncodedMap("a", rows.reshape(5, 10, 9))], 1, 9)


def test_teachers_of_whole_scenes_are_not_divided(images, tmp_path):
    teacher = Blur()
    teacher.per_picture = False
    for share, width in ((Share(0, 2), 0), (Share(), 4)):
        with pytest.raises(ValueError, match="all pictures at once"):
            build_cache(teacher, images, tmp_path / "maps", width=width, share=share)


def test_command_line_shares_shortens_and_exports(toy_scene, tmp_path):
    def encode(*words, **variables):
        command = [sys.executable, "-m", "encoders", "-f", "oracle", "-s", toy_scene, "--feature_cache", tmp_path / "m"]
        command += ["--set", "dim=16", "--pca", "12", *words]
        environment = {"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path), **variables}
        return subprocess.run(
            [*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    first = encode(RANK="0", WORLD_SIZE="2")
    assert "12 of 16 channels explain" in first and "part 1 of 2 is done" in first
    assert "8 maps of 12 channels" in encode("--export", tmp_path / "legacy", RANK="1", WORLD_SIZE="2")
    legacy, own = LegacyFolder.open(tmp_path / "legacy"), CacheFolder.open(tmp_path / "m")
    assert legacy.names == own.names and legacy.dim == 16
    short = torch.einsum("ck,khw->chw", own.basis, own.get("view_001").float())
    torch.testing.assert_close(legacy.get("view_001").float(), short, atol=2e-3, rtol=0)
