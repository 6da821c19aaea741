"""segment.py and metrics.py on a model folder whose Gaussians were tracked one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import metrics
import segment
from scene.formats import read_splats
from scene.motion.files import motion_folder, save_motion
from scene.motion.per_timestep import PerTimestep
from scene.motion.trajectories import Trajectories
from tests.blobs import COLORS, blob_labels, write_blob_run
from tests.moving_blobs import TIMES, moving_blobs
from utils.files import read_json
from utils.image_io import read_image

QUICK = ["--backend", "reference", "--device", "cpu", "--skip_video"]
MOMENTS = sorted(set(TIMES))
RED = blob_labels() == 0


def tracks() -> Trajectories:
    """Where the balls of `moving_blobs` are; they keep their sizes."""
    model = moving_blobs()
    poses = [model.at(time) for time in MOMENTS]
    means, quats = (torch.stack([getattr(pose, name).detach() for pose in poses]) for name in ("means", "quats_wxyz"))
    colors = COLORS[blob_labels()].expand(len(MOMENTS), -1, -1).contiguous()
    return Trajectories(torch.tensor(MOMENTS, dtype=torch.float64), means, quats, colors)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    run = write_blob_run(tmp_path_factory.mktemp("tracked"), moving_blobs(), TIMES)
    save_motion(motion_folder(run, 30), PerTimestep.of(tracks()))
    return run


def click(run: Path, *words: str) -> Path:
    """A click on the red ball in the first training view."""
    labels = read_image(run.parent / "data" / "labels" / "train__001.png")[..., 0]
    row, column = (str(int(np.median(values))) for values in np.nonzero(labels == 1))
    segment.main(["-m", str(run), "--ref_frame", "0", "--point", column, row, "--name", "red", *QUICK, *words])
    return run / "segment" / "red"


def test_one_click_selects_for_all_time(run):
    folder = click(run)
    with np.load(folder / "selection.npz") as found:
        np.testing.assert_array_equal(found["mask"], RED)
    metrics.main(["-m", str(run), "--labels", str(run.parent / "data"), "--selection", "red"])
    scores = read_json(run / "results.json")["segment/red"]
    assert scores["IoU_worst_moment"] > 0.85 and scores["IoU_test"] > 0.85


def test_what_is_written_of_the_selection_is_where_it_was_tracked(run):
    folder, truth = click(run), tracks()
    with np.load(folder / "tracks.npz") as found:
        steps = [MOMENTS.index(pytest.approx(time)) for time in found["times"]]
        np.testing.assert_allclose(found["means"], truth.means[steps][:, found["indices"]], atol=1e-4)
    assert sorted(path.name for path in (folder / "ply").iterdir())[0] == "00000.ply"
    np.testing.assert_allclose(read_splats(folder / "ply/00000.ply").xyz, truth.means[0, RED], atol=1e-4)


def test_actions_work_on_tracked_models(run):
    folder = click(run, "--action", "remove")
    assert len(read_splats(folder / "edited.ply")) == int((~RED).sum())
