"""full_eval.py: the command lines of the published protocol, and one tiny scene from end to end."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace

import ndraster
import pytest

import full_eval
from arguments import (
    MetricsParams,
    ModelParams,
    MotionParams,
    OptimizationParams,
    PipelineParams,
    RenderParams,
    SemanticParams,
    TrainParams,
    parse,
)
from examples.make_scene import SceneOptions, make
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.progress import set_quiet


@pytest.fixture
def started(monkeypatch):
    """Command lines [script, words ...] instead of programs; those whose script is in `broken` fail."""
    lines, broken = [], set()

    def run(words, check):
        name = words[1].rpartition("/")[2]
        lines.append([name, *words[2:]])
        return SimpleNamespace(returncode=int(name in broken))

    monkeypatch.setattr(subprocess, "run", run)
    set_quiet(False)
    return SimpleNamespace(lines=lines, broken=broken)


@pytest.fixture
def data(tmp_path):
    for name in ("m360/garden/images_4", "m360/room/images_2", "tat/truck/images", "db/playroom/images"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def words(data, *more):
    return ["-m360", f"{data}/m360", "-tat", f"{data}/tat", "-db", f"{data}/db", "-o", f"{data}/eval", *more]


def of_script(started, name):
    return [line[1:] for line in started.lines if line[0] == name]


def test_every_scene_is_trained_rendered_twice_and_measured(data, started, capsys):
    full_eval.main(words(data))
    trainings = of_script(started, "train.py")
    assert [(line[1].rpartition("/")[2], line[3]) for line in trainings] == [
        ("garden", "images_4"), ("room", "images_2"), ("truck", "images"), ("playroom", "images")]  # fmt: skip
    for line in trainings:
        assert {"--disable_viewer", "--quiet", "--eval"} < set(line)
        assert line[line.index("--test_iterations") + 1] == "-1"
    renders = of_script(started, "render.py")
    assert [line[line.index("--iteration") + 1] for line in renders] == ["7000", "30000"] * 4
    assert all("--skip_train" in line and "--eval" in line for line in renders)
    assert of_script(started, "metrics.py")[0][:5] == [
        "-m", *(f"{data}/eval/{name}" for name in ("garden", "room", "truck", "playroom"))]  # fmt: skip
    timing = (data / "eval/timing.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in timing] == ["m360", "tandt", "db"] and "minutes" in timing[0]
    assert "stump: skipped, no" in capsys.readouterr().out


def test_flags_become_those_of_the_scripts(data, started):
    full_eval.main(words(data, "--fast", "--aa", "--use_depth", "--use_expcomp", "--train_args=-r 8 --seed 3"))
    training, rendering = of_script(started, "train.py")[0], of_script(started, "render.py")[0]
    for part in ("--optimizer_type sparse_adam", "--antialiasing", "-d depths2/", "--exposure --train_test_exp",
                 "--exposure_lr_init 0.001", "--exposure_lr_delay_steps 5000", "-r 8 --seed 3"):  # fmt: skip
        assert part in " ".join(training)
    assert {"--antialiasing", "--train_test_exp"} < set(rendering) and "-r" not in rendering


def test_the_scripts_understand_these_words(data, started):
    full_eval.main(words(data, "--fast", "--aa", "--use_depth"))
    train_groups = (ModelParams, PipelineParams, OptimizationParams, SemanticParams, MotionParams, TrainParams)
    model, pipeline, optimization, *_, train = parse("", *train_groups, args=of_script(started, "train.py")[0])
    assert model.images == "images_4" and model.eval and pipeline.antialiasing
    assert optimization.optimizer_type == "sparse_adam" and train.save_iterations == (7000, 30_000)
    render_groups = (ModelParams, PipelineParams, SemanticParams, MotionParams, RenderParams)
    assert parse("", *render_groups, args=of_script(started, "render.py")[0])[-1].iteration == 7000
    (metrics,) = parse("", MetricsParams, args=of_script(started, "metrics.py")[0])
    assert len(metrics.model_paths) == 4


def test_one_data_set_and_trained_models_are_enough(data, started, capsys):
    (data / "eval/garden").mkdir(parents=True)
    full_eval.main(["-o", f"{data}/eval", "--skip_training", "-m360", f"{data}/m360"])
    assert not of_script(started, "train.py") and len(of_script(started, "render.py")) == 2
    assert f"room: skipped, no {data}/eval/room" in capsys.readouterr().out
    assert not (data / "eval/timing.txt").exists()
    started.lines.clear()
    full_eval.main(["-o", f"{data}/eval", "--skip_training", "--skip_rendering"])
    assert [line[:3] for line in started.lines] == [["metrics.py", "-m", f"{data}/eval/garden"]]


def test_folders_of_pictures_are_only_measured(data, started, capsys):
    write_json(data / "a/results.json", {"ours_7": {"PSNR": 20.0, "SSIM": 0.5, "convention": "text"}})
    write_json(data / "b/results.json", {"ours_7": {"PSNR": 30.0, "SSIM": 0.7, "LPIPS": 0.1}})
    full_eval.main(["-m", f"{data}/a", f"{data}/b", "--skip_training", "--skip_rendering"])
    assert [line[:4] for line in started.lines] == [["metrics.py", "-m", f"{data}/a", f"{data}/b"]]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mean", "ours_7", "PSNR", "25.0000", "SSIM", "0.6000"] in lines


def test_a_scene_that_fails_does_not_stop_the_others(data, started):
    started.broken.add("train.py")
    with pytest.raises(UserError, match="4 steps failed: train.py for .*"):
        full_eval.main(words(data))
    assert not of_script(started, "render.py")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], "no data set given"),
        (["-m", "x"], "--skip_training --skip_rendering"),
        (["-m360", "absent"], "no scene found; expected folders like absent/garden"),
        (["-db", "x", "--iterations", "0"], "positive steps"),
    ],
)
def test_senseless_options_are_refused(line, expected):
    with pytest.raises(UserError, match=expected):
        full_eval.main(line)


@pytest.mark.slow
def test_a_tiny_scene_from_end_to_end(tmp_path):
    make(SceneOptions("static", tmp_path / "scene", size=(24, 18), views=8))
    shutil.copytree(tmp_path / "scene", tmp_path / "tandt/truck")
    backend = "cpu" if "cpu" in ndraster.available_backends() else "reference"
    machine = f"--device cpu --backend {backend}"
    full_eval.main(["-tat", f"{tmp_path}/tandt", "-o", f"{tmp_path}/eval", "--iterations", "4", "8",
                    f"--train_args={machine} --sh_degree 1", f"--render_args={machine}"])  # fmt: skip
    results = read_json(tmp_path / "eval/truck/results.json")
    assert set(results) == {"ours_4", "ours_8"} and results["ours_8"]["PSNR"] > 5
    assert (tmp_path / "eval/timing.txt").read_text().startswith("tandt: ")
