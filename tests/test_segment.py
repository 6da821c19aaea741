"""segment.py on a small perfect model: one click selects one ball, in every view and in space."""

import numpy as np
import pytest
import torch

import segment as script
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from scene.formats import read_splats
from tests.blobs import blob_labels, blob_model, write_blob_run
from tests.helpers import assert_one_line_error, run_script
from utils.files import read_json
from utils.image_io import read_image
from utils.metrics import iou

QUICK = ["--backend", "reference", "--device", "cpu", "--skip_video"]
PER_BALL = 40


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_blob_run(tmp_path_factory.mktemp("segment"))


def truth_of(run, key, ball):
    return read_image(run.parent / "data" / "labels" / f"{key}.png")[..., 0] == ball + 1


def click_on(run, ball, key="train__001"):
    """A pixel in the middle of a ball."""
    rows, columns = np.nonzero(truth_of(run, key, ball))
    return [str(int(np.median(columns))), str(int(np.median(rows)))]


def mean_iou(run, ball, name):
    folder = run / "segment" / name
    keys = [view["key"] for view in read_json(folder / "selection.json")["views"]]
    return np.mean(
        [iou(read_image(folder / "masks" / f"{key}.png")[..., 0] > 127, truth_of(run, key, ball)) for key in keys]
    )


@pytest.mark.parametrize("ball", [0, 1, 2])
def test_a_click_selects_its_ball_in_every_view(run, ball):
    script.main(["-m", str(run), "--point", *click_on(run, ball), "--view", "0", "--name", f"b{ball}", *QUICK])
    assert mean_iou(run, ball, f"b{ball}") > 0.9
    folder = run / "segment" / f"b{ball}"
    expected = blob_labels(PER_BALL) == ball
    with np.load(folder / "selection.npz") as arrays:
        assert (torch.from_numpy(arrays["mask"]) == expected).float().mean() > 0.97
        assert arrays["similarity"].shape == (3 * PER_BALL,) and arrays["positive_queries"].shape[0] == 1
    assert len(read_splats(folder / "selected.ply")) + len(read_splats(folder / "rest.ply")) == 3 * PER_BALL
    assert (folder / "overlay" / "test__000.png").is_file()


def test_two_clicks_select_two_balls(run):
    words = ["--point", *click_on(run, 0), "--point", *click_on(run, 1), "--name", "two"]
    script.main(["-m", str(run), *words, "--view_name", "train/001.png", *QUICK])
    with np.load(run / "segment" / "two" / "selection.npz") as arrays:
        expected = blob_labels(PER_BALL) != 2
        assert (torch.from_numpy(arrays["mask"]) == expected).float().mean() > 0.97


def test_a_negative_click_takes_a_ball_away(run):
    common = ["-m", str(run), "--point", *click_on(run, 0), "--threshold", "-0.9", "--no_connected", *QUICK]
    script.main([*common, "--name", "all"])
    script.main([*common, "--negative", *click_on(run, 1), "--name", "less"])
    masks = []
    for name in ("all", "less"):
        with np.load(run / "segment" / name / "selection.npz") as arrays:
            masks.append(arrays["mask"])
    second = (blob_labels(PER_BALL) == 1).numpy()
    assert masks[0].all() and masks[1][second].mean() < 0.05 and masks[1][:PER_BALL].mean() > 0.95


def test_a_decoder_is_taken_into_account(tmp_path):
    """The decoder drops channels 0 and 1 and keeps channel 2: balls 0 and 1 look the same to the teacher."""
    run = write_blob_run(tmp_path, blob_model(noise=0.0))
    decoder = LinearDecoder(4, 5)
    with torch.no_grad():
        decoder.linear.weight.zero_()
        decoder.linear.bias.zero_()
        decoder.linear.weight[0, :2], decoder.linear.weight[1, 2] = 1.0, 1.0
    decoder.save(decoder_path(run, 30))
    script.main(["-m", str(run), "--point", *click_on(run, 0), "--no_connected", *QUICK])
    with np.load(run / "segment" / "object" / "selection.npz") as arrays:
        assert arrays["mask"].tolist() == (blob_labels(PER_BALL) != 2).tolist()


def test_the_video_is_written(run):
    pytest.importorskip("av")
    script.main(["-m", str(run), "--point", *click_on(run, 0), "--name", "film", *QUICK[:-1]])
    assert (run / "segment" / "film" / "overlay.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "no point given"),
        (["--point", "500", "3"], "point 500 3 is outside the image"),
        (["--point", "0", "0"], "shows nothing"),
        (["--point", "24", "20", "--view", "7"], "--view is 7; expected 0 to 6"),
        (["--point", "24", "20", "--view_name", "nope"], "'nope' is not a training view"),
        (["--point", "24", "20", "--name", "a/b"], "expected a plain folder name"),
        (["--point", "24", "20", "--name", ".."], "expected a plain folder name"),
        (["--point", "24", "20", "--max_tracks", "0"], "--max_tracks is 0, --num_plys 60; expected at least 1"),
    ],
)
def test_a_wrong_click_is_one_line(run, words, message):
    with pytest.raises(ValueError, match=message):
        script.main(["-m", str(run), *words, *QUICK])


def test_a_model_without_features_ends_the_script_with_one_line(tmp_path):
    run = write_blob_run(tmp_path, blob_model().with_features(None))
    result = run_script("segment.py", "-m", run, "--point", "24", "20", *QUICK)
    assert_one_line_error(result, "has no features", "-f classical")
