"""metrics.py on folders written by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import metrics
from arguments import MetricsParams
from tests.helpers import assert_one_line_error, run_script
from tests.selection_folders import write_masks
from tests.utils.published_vgg import linear_weights, vgg_weights
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.image_io import read_image, write_png


@pytest.fixture(autouse=True)
def no_lpips(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no_weights"))


def write_views(run: Path, difference: int, count: int = 3) -> None:
    generator = np.random.default_rng(0)
    for index in range(count):
        truth = generator.integers(20, 200, (24, 32, 3)).astype(np.uint8)
        write_png(run / "test" / "ours_30" / "gt" / f"{index:05d}.png", truth)
        write_png(run / "test" / "ours_30" / "renders" / f"{index:05d}.png", truth + np.uint8(difference))


def test_results_have_the_shape_of_graphdeco(tmp_path):
    write_views(tmp_path, difference=10)
    metrics.main(["-m", str(tmp_path)])
    results, per_view = read_json(tmp_path / "results.json"), read_json(tmp_path / "per_view.json")
    expected = 20 * math.log10(255 / 10)
    assert results["ours_30"]["PSNR"] == pytest.approx(expected, abs=1e-3)
    assert 0.5 < results["ours_30"]["SSIM"] < 1
    assert "8-bit" in results["ours_30"]["convention"]
    assert set(per_view["ours_30"]) == {"SSIM", "PSNR"}
    assert list(per_view["ours_30"]["PSNR"]) == ["00000.png", "00001.png", "00002.png"]


def test_lpips_is_skipped_with_one_line_when_there_are_no_weights(capsys):
    assert metrics.load_lpips(MetricsParams(("run",))) is None
    assert capsys.readouterr().out.count("\n") == 1


def test_views_that_equal_their_photo_are_listed_and_keep_their_names(tmp_path, capsys):
    write_views(tmp_path, difference=10)
    folder = tmp_path / "test/ours_30"
    write_png(folder / "renders/00001.png", read_image(folder / "gt/00001.png"))
    write_png(folder / "renders/00002.png", read_image(folder / "gt/00002.png") + np.uint8(20))
    metrics.main(["-m", str(tmp_path), "--stdev"])
    scores, per_view = (read_json(tmp_path / name)["ours_30"] for name in ("results.json", "per_view.json"))
    assert "00001.png" in capsys.readouterr().err and scores["left_out"] == ["00001.png"]
    assert per_view["PSNR"]["00001.png"] is None and per_view["SSIM"]["00001.png"] == pytest.approx(1)
    values = [per_view["PSNR"][name] for name in ("00000.png", "00002.png")]
    assert scores["PSNR"] == pytest.approx(np.mean(values))
    assert values[0] - values[1] == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert scores["PSNR_STDEV"] == pytest.approx(np.std(values, ddof=1))
    assert set(scores) == {"SSIM", "PSNR", "SSIM_STDEV", "PSNR_STDEV", "left_out", "convention"}


def test_one_bad_folder_among_several_does_not_stop_the_others(tmp_path):
    write_views(tmp_path / "good", difference=10)
    with pytest.raises(UserError, match="1 of 2 folders not measured: .*absent"):
        metrics.main(["-m", str(tmp_path / "absent"), str(tmp_path / "good")])
    assert read_json(tmp_path / "good/results.json")["ours_30"]["PSNR"] > 20


def test_lpips_is_measured_from_a_weight_file(tmp_path):
    pytest.importorskip("torchmetrics")
    write_views(tmp_path / "run", difference=10, count=1)
    torch.save(vgg_weights() | linear_weights(), tmp_path / "both.pth")
    values = {}
    for name in ("graphdeco", "pm1"):
        words = ["-m", str(tmp_path / "run"), "--lpips_weights", str(tmp_path / "both.pth"), "--lpips_range", name]
        metrics.main(words)
        scores = read_json(tmp_path / "run/results.json")["ours_30"]
        values[name] = scores["LPIPS"]
        assert ("-1..1" in scores["convention"]) == (name == "pm1")
    assert values["graphdeco"] > 0 and values["pm1"] != pytest.approx(values["graphdeco"], rel=1e-3)


def test_iou_is_measured_where_labels_are_valid(tmp_path):
    labels = tmp_path / "labels"
    write_masks(tmp_path, labels, {"a": "train", "b": "test"})
    metrics.main(["-m", str(tmp_path), "--labels", str(labels), "--object", "toy"])
    scores = read_json(tmp_path / "results.json")["segment/toy"]
    assert scores["IoU"] == pytest.approx(10 / 12) and scores["IoU_test"] == pytest.approx(10 / 12)
    assert scores["accuracy"] == pytest.approx(18 / 20)
    assert scores["object"] == 2 and scores["test_views"] == 1


@pytest.mark.parametrize(
    "words, message",
    [
        (["-m", "nowhere"], "nowhere: no such folder"),
        (["-m", "."], "no rendered test views"),
        (["-m", ".", "--labels", "."], "no segment/<name>/masks"),
        (["-m", ".", "--labels", "x"], "x: no such folder; expected true label images"),
        (["-m", ".", "--tracks", "x.npz"], "--tracks needs true labels"),
    ],
)
def test_what_is_missing_is_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        metrics.main(words)


def test_sizes_that_differ_are_named(tmp_path):
    write_views(tmp_path, difference=0)
    write_png(tmp_path / "test" / "ours_30" / "gt" / "00001.png", np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(UserError, match="00001.png: render and photo have shapes"):
        metrics.main(["-m", str(tmp_path)])


def test_a_damaged_picture_ends_the_script_with_one_line(tmp_path):
    write_views(tmp_path, difference=0)
    path = tmp_path / "test" / "ours_30" / "renders" / "00002.png"
    path.write_bytes(path.read_bytes()[:200])
    assert_one_line_error(run_script("metrics.py", "-m", tmp_path), "00002.png")


def test_a_selection_by_a_word_is_measured_against_the_label_of_that_name(tmp_path):
    labels = tmp_path / "labels"
    write_masks(tmp_path, labels, {"a": "test"})
    path = tmp_path / "segment" / "toy" / "selection.json"
    record = read_json(path) | {"points": [], "click_view": None, "click_size": None}
    write_json(path, record | {"text": ["toy"]})
    metrics.main(["-m", str(tmp_path), "--labels", str(labels)])
    assert read_json(tmp_path / "results.json")["segment/toy"]["object"] == 2
    for text in (["something"], ["toy", "nothing"], []):
        write_json(path, record | {"text": text})
        with pytest.raises(UserError, match="has nothing, toy; .* add --object"):
            metrics.main(["-m", str(tmp_path), "--labels", str(labels)])


def test_label_maps_are_scored_by_name(tmp_path):
    """Two of six pixels are wrong, among them one of a class that the model does not know."""
    labels, run = tmp_path / "labels", tmp_path / "run"
    write_views(run, difference=0, count=1)
    write_png(labels / "a.png", np.array([[4, 4, 7], [7, 7, 9]], np.uint8))
    write_json(labels / "classes.json", {"4": "tree", "7": "wall", "9": "sky"})
    write_json(run / "label_classes.json", ["wall", "tree"])
    write_json(run / "test/ours_30/manifest.json", {"frames": [{"index": 0, "image_name": "a.jpg"}]})
    (run / "test/ours_30/saved_labels").mkdir()
    found = torch.tensor([[1, 0, 0], [0, 0, 1]])
    torch.save(found, run / "test/ours_30/saved_labels/00000_label_CxHxW.pt")
    metrics.main(["-m", str(run), "--labels", str(labels)])
    scores = read_json(run / "results.json")["ours_30"]
    assert scores["label_accuracy"] == pytest.approx(4 / 5)
    assert scores["label_miou"] == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert scores["label_per_class_iou"] == {"wall": pytest.approx(3 / 4), "tree": pytest.approx(1 / 2)}


def test_maps_of_several_words_are_scored_on_held_out_views(tmp_path):
    labels, folder = tmp_path / "labels", tmp_path / "run/segment/words"
    for key, value in (("a", 4), ("b", 7)):
        write_png(labels / f"{key}.png", np.full((2, 3), value, np.uint8))
        write_png(folder / "labels" / f"{key}.png", np.array([[1, 1, 1], [2, 2, 0]], np.uint8))
    write_json(labels / "classes.json", {"4": "tree", "7": "wall"})
    write_json(folder / "labels/classes.json", {"0": "nothing", "1": "tree", "2": "wall"})
    views = [{"key": key, "image_name": f"{key}.jpg", "split": split} for key, split in (("a", "train"), ("b", "test"))]
    write_json(folder / "selection.json", {"views": views})
    metrics.main(["-m", str(tmp_path / "run"), "--labels", str(labels)])
    scores = read_json(tmp_path / "run/results.json")["segment/words"]
    assert scores["label_accuracy"] == pytest.approx(2 / 6) and scores["label_images"] == 1
