"""segment.py and metrics.py on a moving scene: one click in the first frame, masks and tracks of all frames.

Two balls of equal features cross: at the time 1/2 the test view sees one behind the other. In canonical space, which
no picture shows, they coincide, so nothing but their paths tells them apart.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import metrics
import segment as script
from gaussian_renderer.trained import open_trained
from scene.formats import read_splats
from scene.gaussian_model import GaussianModel
from scene.motion import Motion
from tests.blobs import CENTRES, blob_labels, blob_model, write_blob_run
from tests.moving_blobs import TIMES
from utils.files import read_json
from utils.image_io import read_image
from utils.transforms import quaternion_to_matrix

QUICK = ["--backend", "reference", "--device", "cpu"]
BALLS = blob_labels()
STARTS = torch.tensor([[-1.0, 0.0, -0.7], [1.0, 0.35, 0.2], [0.0, -0.9, 0.3]])
TRAVELS = torch.tensor([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
MOMENTS = sorted(set(TIMES[1:]))  # of the training views


class Crossing(Motion):
    """Ball k is where opacity logits are 6 + k / 10. All are stored around the origin; they travel and turn about y."""

    kind = "crossing"

    @classmethod
    def create(cls, setup):
        return cls()

    def at(self, model, time):
        ball = ((model.params["opacity"][:, 0] - 6) * 10).round().long()
        still, quat = model.activated(), turn(time)
        moved = still.means @ quaternion_to_matrix(quat).T + (STARTS + time * TRAVELS)[ball]
        return replace(still, means=moved, quats_wxyz=quat.expand_as(still.quats_wxyz))


def turn(time):
    return torch.tensor([math.cos(time), 0.0, math.sin(time), 0.0])


def crossing_balls():
    model = blob_model()
    params = {name: value.detach().clone() for name, value in model.params.items()}
    params["xyz"] -= CENTRES[BALLS]
    params["opacity"] = 6 + BALLS[:, None] / 10
    noise = 0.05 * torch.randn(len(BALLS), 4, generator=torch.Generator().manual_seed(3))
    params["semantic_feature"] = torch.eye(4)[torch.tensor([0, 0, 1])][BALLS] + noise
    return GaussianModel(params, motion=Crossing())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_blob_run(tmp_path_factory.mktemp("moving"), crossing_balls(), TIMES)


@pytest.fixture(autouse=True)
def moving(monkeypatch, tmp_path):
    """The folder has no motion of a kind that can be saved."""

    def opened(*args):
        trained = open_trained(*args)
        return replace(trained, model=trained.model.with_motion(Crossing()))

    monkeypatch.setattr(script, "open_trained", opened)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no_weights"))


def click_on(run, ball, key="train__001"):
    rows, columns = np.nonzero(read_image(run.parent / "data" / "labels" / f"{key}.png")[..., 0] == ball + 1)
    return [str(int(np.median(columns))), str(int(np.median(rows)))]


def segment(run, *words):
    script.main(["-m", str(run), *words, *QUICK])


def write_true_tracks(path: Path):
    """Points on all balls at the moments of the training views."""
    offsets = (
        torch.nn.functional.normalize(torch.randn(60, 3, generator=torch.Generator().manual_seed(0)), dim=1) * 0.45
    )
    ball = torch.arange(3).repeat_interleave(20)
    points = [offsets @ quaternion_to_matrix(turn(t)).T + (STARTS + t * TRAVELS)[ball] for t in MOMENTS]
    visible = np.ones((len(MOMENTS), 60), bool)
    np.savez(path, times=MOMENTS, points=torch.stack(points).numpy(), labels=ball.numpy() + 1, visible=visible)
    return path


@pytest.mark.parametrize("ball", [0, 1])
def test_a_click_in_the_first_frame_selects_a_ball_for_all_time(run, ball, tmp_path):
    name = f"ball{ball}"
    segment(run, "--ref_frame", "0", "--point", *click_on(run, ball), "--name", name, "--skip_video")
    folder = run / "segment" / name
    with np.load(folder / "selection.npz") as arrays:
        assert arrays["mask"].tolist() == (ball == BALLS).tolist()
    truth = write_true_tracks(tmp_path / "tracks_gt.npz")
    words = ["--labels", str(run.parent / "data"), "--tracks", str(truth), "--selection", name]
    metrics.main(["-m", str(run), *words])
    scores = read_json(run / "results.json")[f"segment/{name}"]
    moments = read_json(run / "per_view.json")[f"segment/{name}"]["IoU_at"]
    assert list(moments) == [f"{time:.4f}" for time in MOMENTS] and min(moments.values()) > 0.9
    assert scores["IoU"] > 0.95 and scores["IoU_test"] > 0.9 and scores["object"] == ball + 1
    assert scores["track_error"] < 1e-5 and scores["survival_16"] == 100 and scores["track_points"] == 20


def test_tracks_are_the_motion(run):
    segment(
        run, "--point", *click_on(run, 0), "--name", "tracks", "--max_tracks", "25", "--num_plys", "3", "--skip_video"
    )
    folder = run / "segment" / "tracks"
    with np.load(folder / "tracks.npz", allow_pickle=False) as tracks:
        assert tracks["times"].tolist() == pytest.approx(MOMENTS)
        assert tracks["means"].shape == (7, 25, 3) and (tracks["labels"] == 1).all()
        local = crossing_balls().means[tracks["indices"]].detach()
        for index, time in enumerate(MOMENTS):
            expected = local @ quaternion_to_matrix(turn(time)).T + STARTS[0] + time * TRAVELS[0]
            np.testing.assert_allclose(tracks["means"][index], expected, atol=1e-5)
            np.testing.assert_allclose(tracks["quats_wxyz"][index], turn(time).expand(25, 4), atol=1e-6)
    assert sorted(path.name for path in (folder / "ply").iterdir()) == ["00000.ply", "00003.ply", "00006.ply"]
    last = read_splats(folder / "ply" / "00006.ply")
    np.testing.assert_allclose(last.xyz.mean(0), STARTS[0] + TRAVELS[0], atol=0.1)
    whole = read_splats(folder / "selected.ply")
    np.testing.assert_allclose(whole.xyz.mean(0), STARTS[0], atol=0.1, err_msg="as at the click")
    assert len(whole) == len(last) == 40 and len(read_splats(folder / "rest.ply")) == 80


def test_a_click_at_another_time_selects_the_same(run):
    """The test view's hidden ball is behind at 1/2; the last training view is at the time 1."""
    segment(run, "--point", *click_on(run, 1, "train__007"), "--view", "6", "--name", "late", "--skip_video")
    with np.load(run / "segment" / "late" / "selection.npz") as arrays:
        assert arrays["mask"].tolist() == (BALLS == 1).tolist()
    assert read_json(run / "segment" / "late" / "selection.json")["time"] == 1.0


def test_an_edit_follows_the_object(run):
    """Removed in every view: the pictures do not show the ball wherever it is."""
    words = ["--point", *click_on(run, 0), "--name", "edit", "--action", "remove", "--skip_video"]
    segment(run, *words)
    for key in ("train__001", "train__006"):
        red = read_image(run.parent / "data" / "labels" / f"{key}.png")[..., 0] == 1
        photo = read_image(run.parent / "data" / "train" / f"{key[-3:]}.png")[red][:, 0].mean()
        assert read_image(run / "segment" / "edit" / "remove" / f"{key}.png")[red][:, 0].mean() < 0.5 * photo


def test_videos_run_through_the_time_and_from_one_place(run):
    pytest.importorskip("av")
    import imageio.v3 as imageio

    segment(run, "--point", *click_on(run, 0), "--name", "film", "--fixed_view", "2")
    for name in ("overlay.mp4", "overlay_fixed_view.mp4"):
        assert imageio.imread(run / "segment" / "film" / name, plugin="pyav").shape[0] == len(MOMENTS)


def test_a_wrong_fixed_view_is_one_line(run):
    with pytest.raises(ValueError, match="--fixed_view is 9; expected 0 to 6"):
        segment(run, "--point", *click_on(run, 0), "--fixed_view", "9")
