import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import encoders
from encoders import open_features
from encoders.base import find_images

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def scene(toy_scene, tmp_path):
    for name in ("images", "labels"):
        shutil.copytree(toy_scene / name, tmp_path / "scene" / name)
    return tmp_path / "scene"


def manifest_time(folder):
    return (folder / "manifest.json").stat().st_mtime_ns


def test_cache_is_made_once_and_again_when_something_changed(scene):
    folder = scene / "features/oracle"
    maps = open_features(scene, "oracle")
    assert maps.dim == 16 and len(maps.names) == 8 and maps.get("view_000.png").shape == (16, 60, 80)
    first = manifest_time(folder)
    some = dict(list(find_images(scene).items())[:3])
    open_features(scene, "oracle")
    assert manifest_time(folder) == first
    open_features(scene, "oracle", options={"noise": 0.1})
    second = manifest_time(folder)
    assert second > first and json.loads((folder / "manifest.json").read_text())["options"]["noise"] == 0.1
    open_features(scene, "oracle")  # takes the options that are there
    assert manifest_time(folder) == second
    open_features(scene, "oracle", image_paths=some, options={"noise": 0.2})
    assert manifest_time(folder) > second and len(open_features(scene, "oracle", image_paths=some).names) == 3


def test_a_replaced_input_file_makes_the_cache_stale(scene):
    open_features(scene, "oracle")
    shutil.copy(scene / "labels/view_001.png", scene / "labels/view_000.png")
    maps = open_features(scene, "oracle")
    torch.testing.assert_close(maps.get("view_000"), maps.get("view_001"), rtol=0, atol=0)


def test_an_interrupted_cache_is_made_anew(scene):
    open_features(scene, "oracle")
    (scene / "features/oracle/manifest.json").unlink()
    assert len(open_features(scene, "oracle").names) == 8


def test_fallback_when_the_source_cannot_be_written(scene, tmp_path, monkeypatch):
    real = Path.mkdir

    def refuse(self, *args, **kwargs):
        if self.is_relative_to(scene):
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ValueError, match="--feature_cache"):
        open_features(scene, "oracle")
    open_features(scene, "oracle", fallback_dir=tmp_path / "model")
    assert (tmp_path / "model/features/oracle/manifest.json").is_file() and not (scene / "features").exists()


def test_only_training_pictures_shape_the_classical_teacher(scene, monkeypatch):
    seen = {}

    def record(teacher, images, folder):
        seen.update(train=images.train, all=set(images.paths))
        return "maps"

    monkeypatch.setattr(encoders, "build_cache", record)
    open_features(scene, "classical", train_names=["view_000.png", "view_001.png"])
    assert seen["train"] == {"view_000", "view_001"} and len(seen["all"]) == 8
    with pytest.raises(ValueError, match="'nowhere' is not among"):
        open_features(scene, "classical", train_names=["nowhere.png"])


def test_lseg_and_sam_read_their_folders(scene):
    (scene / "sam_embeddings").mkdir()
    torch.save(torch.ones(4, 2, 3), scene / "sam_embeddings/view_000_fmap_CxHxW.pt")
    assert open_features(scene, "sam").get("view_000.png").shape == (4, 2, 3)
    assert open_features(scene, "anything", cache_dir=scene / "sam_embeddings").dim == 4


def test_unknown_teachers_and_options_are_one_line(scene):
    with pytest.raises(ValueError, match="classical"):
        open_features(scene, "clasical")
    with pytest.raises(ValueError, match="known: dim, noise, flips, seed"):
        open_features(scene, "oracle", options={"segments": 3})


def run(*words, cwd):
    command = [sys.executable, "-m", "encoders", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_command_line_makes_a_cache_and_reports_errors_in_one_line(scene, tmp_path):
    done = run("-f", "oracle", "-s", scene, "--set", "noise=0.05", "--feature_cache", tmp_path / "maps", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "8 maps of 16 channels" in done.stdout and "next: python train.py" in done.stdout
    assert np.isfinite(open_features(scene, "", cache_dir=tmp_path / "maps").get("view_000").numpy()).all()
    failed = run("-f", "oracle", "-s", tmp_path / "nowhere", cwd=ROOT)
    assert failed.returncode == 1 and failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1
