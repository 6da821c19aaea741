"""training/run_log.py"""

import json

import pytest
import torch

from arguments import MotionParams
from scene.gaussian_model import GaussianModel
from scene.motion import MotionSetup, make_motion
from training.run_log import METRICS_NAME, LossWatch, RunLog, describe_non_finite, require_finite_motion
from utils.errors import UserError


def make_model() -> GaussianModel:
    return GaussianModel(
        {
            "xyz": torch.zeros(3, 3),
            "f_dc": torch.zeros(3, 1, 3),
            "f_rest": torch.zeros(3, 0, 3),
            "opacity": torch.zeros(3, 1),
            "scaling": torch.zeros(3, 3),
            "rotation": torch.ones(3, 4),
        }
    )


def read(path):
    return [json.loads(line) for line in (path / METRICS_NAME).read_text().splitlines()]


def test_records_are_appended(tmp_path):
    log = RunLog(tmp_path)
    log.write(10, "train", loss=0.5, psnr=20.0)
    log.write(10, "test", psnr=21.0)
    assert read(tmp_path) == [
        {"iteration": 10, "split": "train", "loss": 0.5, "psnr": 20.0},
        {"iteration": 10, "split": "test", "psnr": 21.0},
    ]


def test_resuming_drops_what_came_after_the_checkpoint(tmp_path):
    log = RunLog(tmp_path)
    for iteration in (10, 20, 30):
        log.write(iteration, "train", loss=1.0)
    with open(tmp_path / METRICS_NAME, "a") as file:
        file.write('{"iteration": 40, "spl')  # what kill -9 may leave
    RunLog(tmp_path, first_iteration=20).write(21, "train", loss=2.0)
    assert [record["iteration"] for record in read(tmp_path)] == [10, 20, 21]


def test_the_watch_names_the_iteration_and_the_parameter():
    model = make_model()
    watch = LossWatch(read_every=4)
    watch.record(1, torch.tensor(1.0), model)
    watch.record(2, torch.tensor(float("nan")), model)
    with torch.no_grad():
        model.params["scaling"][1] = float("inf")
    watch.record(3, torch.tensor(float("nan")), model)
    with pytest.raises(ValueError, match="nan at iteration 2.*scaling.*1 of 3 Gaussians"):
        watch.record(4, torch.tensor(float("nan")), model)


def test_finite_parameters_are_said_to_be_finite():
    assert "still finite" in describe_non_finite(make_model())


def test_the_watch_averages():
    watch = LossWatch(read_every=1)
    for i in range(300):
        watch.record(i, torch.tensor(2.0), make_model())
    assert watch.smoothed == pytest.approx(2.0)


def test_a_loss_that_stays_high_is_reported_once(capsys):
    watch, model = LossWatch(read_every=1), make_model()
    for i in range(200):
        watch.record(i, torch.tensor(0.01), model)
    for i in range(200, 600):  # as after an opacity reset
        watch.record(i, torch.tensor(0.05), model)
    for i in range(600, 900):
        watch.record(i, torch.tensor(0.01), model)
    assert "being lost" not in capsys.readouterr().err
    for i in range(900, 3000):
        watch.record(i, torch.tensor(0.1), model)
    assert capsys.readouterr().err.count("being lost") == 1


def test_a_lost_motion_stops_the_training():
    motion = make_motion("motion_bases", MotionSetup(MotionParams(num_bases=2)))
    model = make_model().with_motion(motion)
    require_finite_motion(model, 5)
    with torch.no_grad():
        motion.network.head.bias[0] = float("nan")
    with pytest.raises(UserError, match="at iteration 5.*--lambda_offset"):
        require_finite_motion(model, 5)
