"""The scripts of Feature 3DGS's SAM folder, on networks without knowledge."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import ROOT, run_script
from utils.files import load_torch

FOLDER = ROOT / "encoders" / "sam_encoder"


def script(name: str) -> ModuleType:
    """The script as a module."""
    return importlib.import_module(f"encoders.sam_encoder.{name}")


@pytest.fixture
def call(monkeypatch):
    """Run a script here, with a command line."""

    def run(name: str, *words: object) -> None:
        monkeypatch.setattr("sys.argv", [name, *map(str, words), "--checkpoint", "random", "--device", "cpu"])
        script(name).main()

    monkeypatch.setattr("sys.path", sys.path.copy())
    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model folder with rendered views: square ones with features, a wide one without."""
    root = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(0)
    for split, size in (("test", (48, 48)), ("train", (48, 48))):
        folder = root / split / "ours_30"
        (folder / "renders").mkdir(parents=True)
        (folder / "saved_feature").mkdir()
        Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(folder / "renders" / "00000.png")
        torch.save(torch.randn(256, 48, 48).half(), folder / "saved_feature" / "00000_fmap_CxHxW.pt")
    wide = root / "novel_views" / "ours_40" / "renders"
    wide.mkdir(parents=True)
    Image.fromarray(rng.integers(0, 255, (32, 48, 3), np.uint8)).save(wide / "00000.png")
    return root


def mask(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_point_is_segmented_in_all_views_from_any_folder(model):
    words = ("--data", model, "--iteration", 30, "--point", 10, 20, "--checkpoint", "random", "--model-type", "vit_b")
    result = run_script("segment_prompt.py", *words, cwd=FOLDER)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("warning: SAM's decoder has random weights") == 1
    assert "image encoder" not in result.stderr  # square views have no padding: nothing was encoded
    for split in ("test", "train"):
        written = mask(model / "seg_point_30" / split / "masks" / "00000.png")
        assert written.shape == (48, 48) and set(np.unique(written)) <= {0, 255}
        assert mask(model / "seg_point_30" / split / "00000.png").shape == (48, 48, 3)


def test_a_point_with_a_box_counts_against(model):
    module = script("segment_prompt")
    both = module.PromptOptions(str(model), 30, point=(10, 20), box=(2, 3, 30, 40))
    assert both.positives == [] and both.negatives == [(10, 20)] and both.folder.name == "seg_box_point_30"
    assert both.prompts().labels.tolist() == [[0]]
    alone = module.PromptOptions(str(model), 30, point=(10, 20, 30, 40), negative=(5, 5), image=True)
    assert alone.prompts().labels.tolist() == [[1, 1, 0]] and alone.folder.name == "seg_point_30_img"
    box = module.PromptOptions(str(model), 30, box=(2, 3, 30, 40))
    assert box.prompts().points is None and box.folder.name == "seg_box_30"


def test_pictures_can_be_encoded_instead(model, call):
    call("segment_prompt", "--data", model, "--iteration", 40, "--box", 4, 4, 40, 30, "--image", "--multimask")
    assert mask(model / "seg_box_40_img" / "novel_views" / "masks" / "00000.png").shape == (32, 48)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "there is no prompt"),
        (("--point", 1), "pairs X Y"),
        (("--box", 9, 9, 3, 20), "X1 < X2"),
        (("--box", 90, 90, 95, 95), "beside the pictures of 48x48"),
        (("--point", 48, 3), "not on the pictures of 48x48"),
        (("--point", 1, 1, "--onnx_quantized_path", "x"), "give both"),
    ],
)
def test_prompts_without_sense_are_one_line(model, call, words, message):
    with pytest.raises(ValueError, match=message):
        call("segment_prompt", "--data", model, "--iteration", 30, *words)


def test_missing_views_and_maps_are_one_line(model, call):
    with pytest.raises(ValueError, match="run it first"):
        call("segment_prompt", "--data", model, "--iteration", 31, "--point", 1, 1)
    with pytest.raises(ValueError, match="--save_features, or encode the pictures themselves with --image"):
        call("segment", "--data", model, "--iteration", 40)


def test_maps_of_another_teacher_are_one_line(call, tmp_path):
    folder = tmp_path / "test" / "ours_30"
    (folder / "renders").mkdir(parents=True)
    (folder / "saved_feature").mkdir()
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(folder / "renders" / "00000.png")
    torch.save(torch.zeros(512, 8, 8), folder / "saved_feature" / "00000_fmap_CxHxW.pt")
    with pytest.raises(ValueError, match="512 channels; SAM's decoder expects 256"):
        call("segment", "--data", tmp_path, "--iteration", 30)


def test_everything_is_segmented(model, call):
    words = ("--points_per_side", 2, "--min_iou", -9, "--min_stability", 0)
    call("segment", "--data", model, "--iteration", 30, *words)
    folder = model / "seg_30" / "test"
    assert mask(folder / "00000_seg.png").shape == (48, 48, 3)
    with np.load(folder / "masks" / "00000.npz") as saved:
        count = len(saved["masks"])
        assert count > 0 and saved["masks"].shape == (count, 48, 48) and saved["masks"].dtype == bool
        assert saved["boxes"].shape == (count, 4) and saved["points"].shape == (count, 2)


def test_speed_is_measured_for_pictures_and_features(model, call, tmp_path):
    views = model / "test" / "ours_30"
    words = ("--image_path", views / "renders", "--points_per_side", 1, "--output", tmp_path)
    call("segment_time", *words, "--feature_path", views / "saved_feature")
    timing = json.loads((tmp_path / "timing.json").read_text())
    assert timing["from"] == "features" and timing["images"] == 1 and timing["images_per_sec"] > 0
    assert len(timing["seconds"]) == 1  # the run that warms up is not counted
    call("segment_time", *words)
    assert json.loads((tmp_path / "timing.json").read_text())["from"] == "images"
    with pytest.raises(ValueError, match="expected one map per picture"):
        call("segment_time", *words, "--feature_path", tmp_path)


def test_embeddings_are_exported_without_the_padding(model, call, tmp_path):
    pictures = model / "novel_views" / "ours_40" / "renders"
    call("export_image_embeddings", "--input", pictures, "--output", tmp_path)
    path = tmp_path / "00000_fmap_CxHxW.pt"
    embedding, written = load_torch(path), path.stat().st_mtime_ns
    assert embedding.shape == (256, 43, 64) and embedding.dtype == torch.float32
    call("export_image_embeddings", "--input", pictures / "00000.png", "--output", tmp_path)
    assert path.stat().st_mtime_ns == written  # it was there already
    call("export_image_embeddings", "--input", pictures, "--output", tmp_path / "bgr", "--compat_bgr")
    assert (load_torch(tmp_path / "bgr" / path.name) - embedding).abs().max() > 1e-3
    with pytest.raises(ValueError, match="neither a picture nor a folder"):
        call("export_image_embeddings", "--input", tmp_path, "--output", tmp_path)
