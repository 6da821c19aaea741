"""train.py from end to end, on a procedural scene of 24x18 px."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ndraster
import pytest
import torch

import train
from arguments import ModelParams
from encoders import TeacherRecord
from examples.make_scene import SceneOptions, make
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from gaussian_renderer.trained import open_trained
from scene import Scene
from scene.checkpoint import latest_checkpoint
from scene.formats.ply import read_ply
from tests.helpers import ROOT, run_script
from utils.errors import UserError

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
WIDTH, TEACHER_DIM = 3, 6
# Short, but with densification, an opacity reset, a lift and a decoder before the interruptions.
FLAGS = (
    f"--eval --device cpu --backend {BACKEND} --init_count 150 --sh_degree 1 --iterations 40 --densify_from_iter 5 "
    "--densification_interval 5 --opacity_reset_interval 12 --densify_grad_threshold 0.00005 --test_iterations -1 "
    f"--random_background -f lseg --semantic_dimension {WIDTH} --lift_iteration 13"
).split()
PLAIN = FLAGS[: FLAGS.index("-f")]


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    """The same number of threads here and in the processes that are started: sums then have the same order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        yield
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A Blender data set with teacher maps of random values."""
    folder = tmp_path_factory.mktemp("data") / "scene"
    make(SceneOptions("static_blender", folder, size=(24, 18), views=8))
    generator = torch.Generator().manual_seed(0)
    maps = folder / "rgb_feature_langseg"
    maps.mkdir()
    for camera in open_scene(folder).train:
        key = camera.image_name.split(".")[0].replace("/", "__")
        torch.save(torch.rand(TEACHER_DIM, 6, 8, generator=generator), maps / f"{key}_fmap_CxHxW.pt")
    return folder


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> Path:
    """The model folder of an uninterrupted run, in a process of its own."""
    out = tmp_path_factory.mktemp("finished")
    result = run_script("train.py", "-s", data, "-m", out, *FLAGS)
    assert result.returncode == 0, result.stderr
    (out / "stdout.txt").write_text(result.stdout)
    return out


def open_scene(folder: Path) -> Scene:
    return Scene.open(train.ModelParams(source_path=str(folder), eval=True, device="cpu"), "cpu")


def start(data: Path, out: Path, *flags: str) -> subprocess.Popen:
    """train.py in the background."""
    command = [sys.executable, "train.py", "-s", data, "-m", out, *FLAGS, *flags]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def wait_until(condition, process: subprocess.Popen) -> None:
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError("nothing happened within 30 s")


def iterations_logged(out: Path) -> int:
    path = out / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def resume(out: Path, *flags: str) -> None:
    train.main(["-m", str(out), "--resume", "--device", "cpu", "--backend", BACKEND, *flags])


def assert_same_result(out: Path, finished: Path) -> None:
    """Bit for bit the same Gaussians, decoder and figures."""
    assert_same_model(out, finished)
    records = [[r | {"seconds": 0} for r in read_records(folder)] for folder in (out, finished)]
    assert records[0] == records[1]


def assert_same_model(out: Path, finished: Path) -> None:
    """Bit for bit the same Gaussians and decoder."""
    name = Path("point_cloud/iteration_40/point_cloud.ply")
    assert (out / name).read_bytes() == (finished / name).read_bytes()
    decoders = [LinearDecoder.load(decoder_path(folder, 40)).state_dict() for folder in (out, finished)]
    assert all(torch.equal(decoders[0][key], decoders[1][key]) for key in decoders[0])


def read_records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_quality_rises_and_everything_is_written(data, tmp_path):
    words = "--eval --device cpu --init_count 150 --sh_degree 1 --test_iterations 1 80 --iterations 80 -w"
    train.main(["-s", str(data), "-m", str(tmp_path), "--backend", BACKEND, *words.split()])
    tests = {record["iteration"]: record["psnr"] for record in read_records(tmp_path) if record["split"] == "test"}
    assert tests[80] > tests[1] + 2.0
    assert {record["iteration"] for record in read_records(tmp_path) if record["split"] == "train"} == set(range(1, 81))
    for name in ("config.json", "cfg_args", "cameras.json", "input.ply"):
        assert (tmp_path / name).stat().st_size > 0
    assert len(read_ply(tmp_path / "point_cloud/iteration_80/point_cloud.ply")) == 150
    assert len(json.loads((tmp_path / "cameras.json").read_text())) == 9


def test_features_and_decoder_are_trained_and_saved(finished):
    arrays = read_ply(finished / "point_cloud/iteration_40/point_cloud.ply")
    assert arrays.semantic_feature.shape[1] == WIDTH and abs(arrays.semantic_feature).max() > 0
    assert len(arrays) > 150  # densified
    assert LinearDecoder.load(decoder_path(finished, 40)).teacher_dim == TEACHER_DIM


def test_the_lift_is_said_and_saves_before_it_have_features_too(data, tmp_path, capsys):
    flags = ["-s", str(data), "-m", str(tmp_path), *FLAGS, "--lift_iteration", "20", "--save_iterations", "10", "30"]
    train.main(flags)
    lines = [line for line in capsys.readouterr().out.splitlines() if "features of 8 views lifted into" in line]
    assert [line.split(":")[0] for line in lines] == ["iteration 10", "iteration 20"]
    for iteration in (10, 30, 40):
        assert read_ply(tmp_path / f"point_cloud/iteration_{iteration}/point_cloud.ply").semantic_feature.any()
        assert LinearDecoder.load(decoder_path(tmp_path, iteration)).teacher_dim == TEACHER_DIM


def test_lifting_alone_trains_no_features(data, tmp_path, capsys):
    """A run that ends with a lift has the features of a lift into its last geometry, however it got there."""
    flags = ["-s", str(data), *FLAGS, "--iterations", "12", "--distill"]
    train.main([*flags, "lift", "-m", str(tmp_path / "lift")])
    assert capsys.readouterr().out.count("lifted into") == 1
    train.main([*flags, "lift+sgd", "--lift_iteration", "12", "-m", str(tmp_path / "both")])
    name = "point_cloud/iteration_12/point_cloud.ply"
    assert (tmp_path / "lift" / name).read_bytes() == (tmp_path / "both" / name).read_bytes()


@pytest.mark.parametrize("mode", ["lift", "sgd", "lift+sgd"])
def test_every_mode_resumes_to_the_same_result(data, tmp_path, mode):
    """Interrupted before and after the lift; what was lifted for a save before it is replaced."""
    flags = ["-s", str(data), *FLAGS, "--distill", mode, "--semantic_start", "3"]
    train.main([*flags, "-m", str(tmp_path / "whole")])
    for stop in ("11", "22"):
        where = ["--resume"] if stop == "22" else flags
        train.main([*where, "-m", str(tmp_path / "parts"), "--iterations", stop, "--checkpoint_iterations", stop])
    resume(tmp_path / "parts", "--iterations", "40")
    assert_same_model(tmp_path / "parts", tmp_path / "whole")


def test_a_late_start_without_features_lifts_at_once(data, tmp_path, capsys):
    words = ["-s", str(data), *PLAIN, "--iterations", "20", "--checkpoint_iterations", "20"]
    train.main([*words, "-m", str(tmp_path / "colours")])
    checkpoint = str(tmp_path / "colours/chkpnt20.pth")
    late = ["--iterations", "24", "--lift_iteration", "15", "--start_checkpoint", checkpoint]
    train.main(["-s", str(data), *FLAGS, *late, "-m", str(tmp_path / "features")])
    assert "iteration 20: features of 8 views lifted" in capsys.readouterr().out
    assert read_ply(tmp_path / "features/point_cloud/iteration_24/point_cloud.ply").semantic_feature.any()


def test_first_and_last_lines(finished):
    text = (finished / "stdout.txt").read_text()
    for part in ("8 train + 1 test images 24x18", "150 Gaussians", "features 3 wide", "device: cpu", str(finished)):
        assert part in text
    assert "python render.py -m" in text and "python segment.py -m" in text.splitlines()[-2] + text.splitlines()[-1]


def test_features_do_not_touch_colours(data, tmp_path):
    """Training with features gives bit for bit the same geometry and colours as training without."""
    flags = ["-s", str(data), *PLAIN, "--iterations", "12", "--semantic_start", "4"]
    train.main([*flags, "-m", str(tmp_path / "plain")])
    train.main([*flags, "-m", str(tmp_path / "features"), "-f", "lseg", "--feature_res", "teacher"])
    folders = (tmp_path / "plain", tmp_path / "features")
    plain, features = (read_ply(folder / "point_cloud/iteration_12/point_cloud.ply").named() for folder in folders)
    assert features.pop("semantic_feature").shape[1] == TEACHER_DIM
    assert plain.keys() == features.keys()
    assert all((plain[name] == features[name]).all() for name in plain)


def test_resume_after_a_checkpoint(data, finished, tmp_path, capsys):
    train.main(["-s", str(data), "-m", str(tmp_path), *FLAGS, "--iterations", "23", "--checkpoint_every", "10"])
    assert [path.name for path in tmp_path.glob("chkpnt*")] == ["chkpnt20.pth"]  # the rolling one only
    resume(tmp_path, "--iterations", "40")
    assert "continuing after iteration 20" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("chkpnt*")] == ["chkpnt40.pth"]
    last = [record for record in read_records(tmp_path) if record["iteration"] == 23]
    assert len(last) == 1
    assert_same_result(tmp_path, finished)


def test_ctrl_c_saves_and_resumes(data, finished, tmp_path):
    process = start(data, tmp_path)
    wait_until(lambda: iterations_logged(tmp_path) >= 14, process)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert f"python train.py -m {tmp_path} --resume --device cpu --backend {BACKEND}" in stdout
    assert "Traceback" not in stderr
    assert 14 <= int(latest_checkpoint(tmp_path).stem.removeprefix("chkpnt")) < 40
    resume(tmp_path)
    assert_same_result(tmp_path, finished)


def test_kill_leaves_whole_files_and_resumes(data, finished, tmp_path):
    process = start(data, tmp_path, "--checkpoint_every", "1")
    wait_until(lambda: iterations_logged(tmp_path) >= 14, process)
    process.kill()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    resume(tmp_path)
    assert_same_result(tmp_path, finished)


def test_resuming_before_the_first_checkpoint_starts_over(data, tmp_path, capsys):
    train.main(["-s", str(data), "-m", str(tmp_path), *PLAIN, "--iterations", "2"])
    resume(tmp_path)
    assert "no checkpoint yet" in capsys.readouterr().err
    assert [record["iteration"] for record in read_records(tmp_path)] == [1, 2]


def test_an_earlier_run_is_set_aside(data, tmp_path):
    flags = ["-s", str(data), "-m", str(tmp_path), *PLAIN]
    train.main([*flags, "--iterations", "3", "--checkpoint_iterations", "3"])
    train.main([*flags, "--iterations", "2"])
    assert (tmp_path / "earlier_runs/1/point_cloud/iteration_3/point_cloud.ply").exists()
    assert (tmp_path / "earlier_runs/1/chkpnt3.pth").exists()
    assert [path.name for path in (tmp_path / "point_cloud").iterdir()] == ["iteration_2"]
    assert latest_checkpoint(tmp_path) is None


def test_starting_from_a_ply_and_from_a_checkpoint(data, tmp_path):
    flags = ["-s", str(data), *PLAIN]
    train.main([*flags, "-m", str(tmp_path / "a"), "--iterations", "4", "--checkpoint_iterations", "2"])
    ply = tmp_path / "a/point_cloud/iteration_4/point_cloud.ply"
    still = ["--iterations", "1", "--position_lr_init", "1e-9", "--position_lr_final", "1e-9", "--start_ply"]
    train.main([*flags, "-m", str(tmp_path / "b"), *still, str(ply)])
    moved = read_ply(tmp_path / "b/point_cloud/iteration_1/point_cloud.ply").xyz - read_ply(ply).xyz
    assert abs(moved).max() < 1e-6
    start_from = str(tmp_path / "a/chkpnt2.pth")
    train.main([*flags, "-m", str(tmp_path / "c"), "--iterations", "4", "--start_checkpoint", start_from])
    assert (tmp_path / "c/point_cloud/iteration_4/point_cloud.ply").read_bytes() == ply.read_bytes()


def test_the_commands_of_feature_3dgs_work(data, tmp_path):
    """-r 0 makes the images as large as the teacher's maps (8x6), -f lseg --speedup adds a decoder."""
    flags = ["-s", str(data), "-m", str(tmp_path), "-f", "lseg", "-r", "0", "--speedup", "--iterations", "4"]
    train.main([*flags, "--device", "cpu", "--backend", BACKEND, "--init_count", "50", "--eval"])
    trained = open_trained(train.ModelParams(source_path=str(data), model_path=str(tmp_path), resolution=0, eval=True))
    assert {(camera.width, camera.height) for camera in (*trained.scene.train, *trained.scene.test)} == {(8, 6)}
    assert (trained.model.feature_dim, trained.decoder.teacher_dim) == (1, TEACHER_DIM)
    assert TeacherRecord.load(tmp_path, "", 0) == TeacherRecord("lseg", TEACHER_DIM)


LABELS = [*PLAIN, "-f", "label", "--iterations", "24", "--test_iterations", "24", "--label_lr", "0.1"]


def test_labels_are_trained_and_named(data, tmp_path, capsys):
    """From the id maps that the scene comes with: logits as label_*, class names, and the share of right pixels."""
    train.main(["-s", str(data), "-m", str(tmp_path), *LABELS])
    names = json.loads((tmp_path / "label_classes.json").read_text())
    everything = json.loads((data / "labels/classes.json").read_text()).values()
    assert len(names) >= 3 and set(names) <= set(everything)
    ply = tmp_path / "point_cloud/iteration_24/point_cloud.ply"
    assert b"property float label_0\n" in ply.read_bytes() and b"semantic_0" not in ply.read_bytes()[:2000]
    assert read_ply(ply).semantic_feature.shape[1] == len(names)
    trained = open_trained(train.ModelParams(source_path=str(data), model_path=str(tmp_path), eval=True, device="cpu"))
    assert trained.classes == tuple(names) and trained.decoder is None
    accuracy = [record["label_accuracy"] for record in read_records(tmp_path) if record["split"] == "test"]
    assert accuracy[0] > 0.5
    assert "% right" in capsys.readouterr().out


def test_labels_are_lifted_before_they_are_measured(data, tmp_path):
    flags = ["--distill", "lift", "--test_iterations", "1", "12", "24"]
    train.main(["-s", str(data), "-m", str(tmp_path), *LABELS, *flags])
    accuracy = [record["label_accuracy"] for record in read_records(tmp_path) if record["split"] == "test"]
    assert len(accuracy) == 3 and min(accuracy) > 0.4


def test_labels_resume_to_the_same_result(data, tmp_path):
    flags = ["-s", str(data), *LABELS]
    train.main([*flags, "-m", str(tmp_path / "whole")])
    train.main([*flags, "-m", str(tmp_path / "parts"), "--iterations", "17", "--checkpoint_iterations", "17",
                "--lift_iteration", "12"])  # fmt: skip
    resume(tmp_path / "parts", "--iterations", "24")
    name = "point_cloud/iteration_24/point_cloud.ply"
    assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("teacher", ["lseg", "label"])
@pytest.mark.parametrize("mode", ["lift", "sgd", "lift+sgd"])
def test_frozen_gaussians_keep_everything_but_their_features(data, finished, tmp_path, mode, teacher):
    """Starting from Gaussians with other features; only lifting is a single pass."""
    ply = finished / "point_cloud/iteration_40/point_cloud.ply"
    flags = ["--iterations", "12", "--freeze_geometry", "--start_ply", str(ply), "-f", teacher, "--distill", mode]
    train.main(["-s", str(data), "-m", str(tmp_path), *PLAIN, *flags])
    last = 1 if mode == "lift" else 12
    assert [path.name for path in (tmp_path / "point_cloud").iterdir()] == [f"iteration_{last}"]
    after, before = (read_ply(p).named() for p in (tmp_path / f"point_cloud/iteration_{last}/point_cloud.ply", ply))
    assert after.pop("semantic_feature").any() and before.pop("semantic_feature").any()
    assert all((after[name] == before[name]).all() for name in before)


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["lift", "sgd", "lift+sgd"])
@pytest.mark.parametrize("frozen", [False, True])
def test_every_mode_runs_on_a_gpu(data, tmp_path, mode, frozen):
    """With a decoder and CUDA graphs, colours first and features on top."""
    flags = [word if word not in ("cpu", BACKEND) else "cuda" for word in FLAGS]
    train.main(["-s", str(data), "-m", str(tmp_path / "a"), *flags, "--distill", mode])
    if frozen:
        ply = str(max((tmp_path / "a").glob("point_cloud/*/point_cloud.ply")))
        start = ["--start_ply", ply, "--freeze_geometry", "--distill", mode]
        train.main(["-s", str(data), "-m", str(tmp_path / "b"), *flags, *start])
    model = open_trained(ModelParams(source_path=str(data), model_path=str(tmp_path / ("b" if frozen else "a"))))
    assert model.model.feature_dim == WIDTH and model.decoder.teacher_dim == TEACHER_DIM
    assert bool(model.model.features.any()) and bool(torch.isfinite(model.model.features).all())


def test_frozen_runs_resume_to_the_same_result(data, finished, tmp_path):
    ply = finished / "point_cloud/iteration_40/point_cloud.ply"
    flags = ["-s", str(data), *FLAGS, "--freeze_geometry", "--start_ply", str(ply), "--iterations"]
    train.main([*flags, "9", "-m", str(tmp_path / "whole")])
    train.main([*flags, "5", "-m", str(tmp_path / "parts"), "--checkpoint_iterations", "5"])
    resume(tmp_path / "parts", "--iterations", "9")
    name = "point_cloud/iteration_9/point_cloud.ply"
    assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    decoders = [LinearDecoder.load(decoder_path(tmp_path / part, 9)).state_dict() for part in ("whole", "parts")]
    assert all(torch.equal(decoders[0][key], decoders[1][key]) for key in decoders[0])


@pytest.mark.parametrize("optimizer", ["default", "sparse_adam"])
def test_the_cap_holds(data, tmp_path, optimizer):
    flags = ["-s", str(data), "-m", str(tmp_path), *PLAIN, "--optimizer_type", optimizer]
    train.main([*flags, "--iterations", "20", "--max_gaussians", "170"])
    assert 150 < max(record["count"] for record in read_records(tmp_path)) <= 170


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["-s", "nowhere"], ["nowhere"]),
        ([], ["-s FOLDER"]),
        (["--iteration", "5"], ["--iterations"]),
        (["-s", "DATA", "--depths", "d"], ["--depths"]),
        (["-s", "DATA", "--iterations", "0"], ["--iterations is 0"]),
        (["-s", "DATA", "--lift_iteration", "-1"], ["--lift_iteration is -1"]),
        (["-s", "DATA", "-f", "lsag"], ["lsag", "classical"]),
        (["-s", "DATA", "-f", "lseg", "--semantic_dimension", "7"], ["teacher has 6 channels"]),
        (["-s", "DATA", "-f", "lseg", "--teacher_cache", "gpu"], ["--teacher_cache gpu", "use ram or disk"]),
        (["-s", "DATA", "-f", "label", "--feature_cache", "nowhere"], ["nowhere has no label maps"]),
        (["-s", "DATA", "-f", "label", "--feature_cache", "OUT_OF_RANGE"], ["ids from 0 to 70000", "mend them"]),
        (["-s", "DATA", "-r", "0"], ["-f TEACHER"]),
        (["-s", "DATA", "-f", "lseg", "--freeze_geometry"], ["--start_ply FILE"]),
        (["-s", "DATA", "--feature_lr", "1e38"], ["at iteration 2", "f_dc (150 of 150 Gaussians)"]),
        (["-s", "DATA", "--start_checkpoint", "BOMB"], ["pickled Python objects"]),
        (["-s", "DATA", "--start_checkpoint", "TRUNCATED"], ["truncated"]),
        (["--resume"], ["check -m"]),
    ],
)
def test_bad_input_is_one_line(data, finished, tmp_path, flags, parts, capsys):
    names = {"DATA": str(data), "BOMB": str(bomb(tmp_path)), "TRUNCATED": str(truncated(tmp_path))}
    names["OUT_OF_RANGE"] = str(out_of_range(data, tmp_path / "labels"))
    words = [names.get(word, word) for word in flags]
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as leave:
        train.run(lambda: train.main([*PLAIN, "-m", str(out), *words]))
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert leave.value.code == 1 and message.startswith("error: ")
    for part in parts:
        assert part in message
    assert not list(out.glob("point_cloud/*"))


def test_a_teacher_map_of_the_wrong_shape(data, tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    for path in sorted((data / "rgb_feature_langseg").iterdir()):
        torch.save(torch.rand(TEACHER_DIM, 6, 8), maps / path.name)
    torch.save(torch.rand(TEACHER_DIM + 1, 6, 8), path_of_last(maps))
    with pytest.raises(UserError, match=path_of_last(maps).name.split("_fmap")[0]):
        train.main(["-s", str(data), "-m", str(tmp_path / "out"), *FLAGS, "--feature_cache", str(maps)])


def path_of_last(folder: Path) -> Path:
    return sorted(folder.iterdir())[-1]


class Bomb:
    """Runs a command when unpickled, if it is let."""

    def __reduce__(self):
        return (os.system, ("echo exploded",))


def bomb(folder: Path) -> Path:
    torch.save({"model": Bomb(), "iteration": 1}, folder / "bomb.pth")
    return folder / "bomb.pth"


def out_of_range(data: Path, folder: Path) -> Path:
    """Label maps in the layout of Label-3DGS, with an id that no class can have."""
    folder.mkdir()
    for path in (data / "rgb_feature_langseg").iterdir():
        torch.save(torch.tensor([[0, 70_000]]), folder / path.name.replace("fmap", "label"))
    return folder


def truncated(folder: Path) -> Path:
    torch.save({"model": torch.zeros(10_000), "iteration": 1}, folder / "truncated.pth")
    path = folder / "truncated.pth"
    path.write_bytes(path.read_bytes()[:5000])
    return path
