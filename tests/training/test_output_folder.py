"""training/output_folder.py"""

import pytest

from arguments import ModelParams
from training.output_folder import resume_command, set_aside_earlier_run


@pytest.fixture
def folder(tmp_path):
    """A model folder after a run."""
    for name in ("point_cloud/iteration_7/point_cloud.ply", "chkpnt5.pth", "config.json", "videos_7/a.mp4", "mine.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_results_move_and_other_files_stay(folder, capsys):
    set_aside_earlier_run(folder)
    assert names(folder) == ["earlier_runs", "mine.txt"]
    assert names(folder / "earlier_runs/1") == ["chkpnt5.pth", "config.json", "point_cloud", "videos_7"]
    assert "earlier_runs/1" in capsys.readouterr().err


def test_every_run_gets_a_number(folder):
    set_aside_earlier_run(folder)
    (folder / "chkpnt9.pth").write_text("")
    set_aside_earlier_run(folder)
    assert names(folder / "earlier_runs") == ["1", "2"]


def test_what_this_run_starts_from_keeps_everything_in_place(folder):
    before = names(folder)
    set_aside_earlier_run(folder, ["", str(folder / "chkpnt5.pth")])
    assert names(folder) == before


def test_a_folder_without_results_is_left_alone(tmp_path):
    (tmp_path / "config.json").write_text("")
    set_aside_earlier_run(tmp_path)
    assert names(tmp_path) == ["config.json"]
    set_aside_earlier_run(tmp_path / "missing")


def test_resume_command_repeats_what_is_not_saved():
    assert resume_command(ModelParams(model_path="a b")) == "python train.py -m 'a b' --resume"
    assert resume_command(ModelParams(model_path="x", device="cpu", backend="reference")).endswith(
        "--resume --device cpu --backend reference"
    )


def test_results_of_a_moving_scene_move_too(folder):
    for name in ("deform/iteration_7/deform.pth", "ply_sequence_7/00000.ply"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(name)
    set_aside_earlier_run(folder)
    assert names(folder) == ["earlier_runs", "mine.txt"]
