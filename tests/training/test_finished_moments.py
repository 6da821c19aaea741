"""training/finished_moments.py: a rig goes on after a kill, from the moments that it had saved."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import train
from arguments import ModelParams
from gaussian_renderer.trained import open_trained
from scene.formats.ply import read_ply, write_ply
from scene.motion.track_store import TrackStore
from tests.blob_rig import write_blob_rig
from training.trainer import Trainer
from utils.errors import UserError
from utils.files import read_jsonl

QUICK = "--first_iterations 80 --step_iterations 30 --densify_until_iter 0 --track_position_lr 0.0008 --max_drop_db 0"
MOMENTS, TOTAL = 4, 170
TRACKS = f"deform/iteration_{TOTAL}/tracks"
PLY = f"point_cloud/iteration_{TOTAL}/point_cloud.ply"


class Killed(Exception):
    """Stands in for a kill: nothing is saved any more."""


def words(data: Path, out: Path, *flags: str) -> list[str]:
    return ["-s", str(data), "-m", str(out), "--eval", "--device", "cpu", *QUICK.split(), *flags]


def killed_after(moments: int, patch: pytest.MonkeyPatch, command: list[str]) -> None:
    """Train until so many moments are saved."""
    save, saved = Trainer.save, []

    def save_and_die(trainer: Trainer) -> None:
        save(trainer)
        saved.append(trainer.iteration)
        if len(saved) == moments:
            raise Killed

    with patch.context() as context, pytest.raises(Killed):
        context.setattr(Trainer, "save", save_and_die)
        train.main(command)


def resume(out: Path, *flags: str) -> None:
    train.main(["-m", str(out), "--resume", "--device", "cpu", *flags])


def held_out(out: Path) -> float:
    return [record["psnr"] for record in read_jsonl(out / "metrics.jsonl") if record["split"] == "test"][-1]


def moments_of(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / TRACKS).glob("moment_*.npz"))}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A ball rises, and another one appears at moment number 1."""
    return write_blob_rig(tmp_path_factory.mktemp("data") / "rig", MOMENTS, newcomer=1)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """Trained without interruption."""
    out = tmp_path_factory.mktemp("whole") / "out"
    train.main(words(data, out))
    return out


@pytest.fixture(scope="module")
def killed(data, tmp_path_factory) -> Path:
    """As it was left when moment number 2 was saved."""
    out = tmp_path_factory.mktemp("killed") / "out"
    with pytest.MonkeyPatch.context() as patch:
        killed_after(3, patch, words(data, out))
    return out


def test_a_killed_run_goes_on_with_the_next_moment(data, whole, killed, tmp_path, capsys):
    out = shutil.copytree(killed, tmp_path / "out")
    before = moments_of(out)
    assert len(before) == 3 and not list(out.glob("chkpnt*.pth"))
    resume(out)
    assert "continuing after iteration 140" in capsys.readouterr().out
    after = moments_of(out)
    assert len(after) == MOMENTS and {name: after[name] for name in before} == before
    assert abs(held_out(out) - held_out(whole)) < 0.3
    options = ModelParams(source_path=str(data), device="cpu")
    ours, theirs = (open_trained(replace(options, model_path=str(path))).model for path in (out, whole))
    assert len(ours) == len(theirs) > 420  # with the newcomers
    assert torch.equal(ours.params["motion_code"], theirs.params["motion_code"])
    assert (ours.at(1.0).means - theirs.at(1.0).means).norm(dim=1).median() < 0.01


def test_gaussians_of_a_moment_that_was_not_finished_are_left_out(killed, tmp_path):
    """The point cloud is written before the moment: a kill between them leaves newcomers that are nowhere yet."""
    out = shutil.copytree(killed, tmp_path / "out")
    for number in (1, 2):
        (out / TRACKS / f"moment_{number:05d}.npz").unlink()
    count = TrackStore.open(out / TRACKS).read().num_gaussians
    assert count == 420 < len(read_ply(out / PLY))
    resume(out)
    assert len(moments_of(out)) == MOMENTS and TrackStore.open(out / TRACKS).read().num_gaussians > 420


def test_the_state_that_knows_more_is_taken(data, tmp_path, monkeypatch, capsys):
    killed_after(2, monkeypatch, words(data, tmp_path, "--no_births", "--checkpoint_iterations", "95"))
    resume(tmp_path)
    assert f"continuing after iteration 110 of {tmp_path / TRACKS}" in capsys.readouterr().out
    (tmp_path / TRACKS / "moment_00003.npz").unlink()
    (tmp_path / TRACKS / "moment_00002.npz").unlink()
    (tmp_path / TRACKS / "moment_00001.npz").unlink()
    resume(tmp_path)
    assert f"continuing after iteration 95 of {tmp_path / 'chkpnt95.pth'}" in capsys.readouterr().out
    assert len(moments_of(tmp_path)) == MOMENTS


def test_what_rests_is_found_again_or_remembered(data, tmp_path, monkeypatch):
    """Without masks the pictures say it after the first moment was saved."""
    killed_after(1, monkeypatch, words(data, tmp_path, "--mask_free", "--no_births"))
    killed_after(1, monkeypatch, ["-m", str(tmp_path), "--resume", "--device", "cpu"])
    labels = read_ply(tmp_path / PLY).motion_code[:, 0]
    assert 0 < labels.sum() < len(labels)
    resume(tmp_path)
    assert len(moments_of(tmp_path)) == MOMENTS
    assert (read_ply(tmp_path / PLY).motion_code[:, 0] == labels).all()


def test_damaged_files_are_one_line(killed, tmp_path):
    out = shutil.copytree(killed, tmp_path / "out")
    last = sorted((out / TRACKS).glob("moment_*.npz"))[-1]
    last.write_bytes(last.read_bytes()[:200])
    with pytest.raises(UserError, match="moment_00002.npz"):
        resume(out)
    last.unlink()
    text = (out / PLY).read_bytes()
    (out / PLY).write_bytes(text.replace(b"motion_1", b"motion_x"))
    with pytest.raises(UserError, match=r"point_cloud\.ply: has no motion code"):
        resume(out)
    arrays = read_ply(killed / PLY)
    write_ply(out / PLY, arrays.map(lambda value: value[1:]))
    with pytest.raises(UserError, match=r"point_cloud\.ply: has \d+ Gaussians, its tracks \d+"):
        resume(out)
