"""scene/motion/track_store.py and track_chunk.py: poses on disk, moment by moment."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from scene.motion.pose_codes import Pose
from scene.motion.track_store import TrackStore
from utils.errors import UserError
from utils.files import write_json
from utils.npz import read_npz, write_npz

TIMES = [0.0, 0.25, 0.5, 1.0]
COUNT = 60
MOVING = torch.arange(COUNT) % 3 == 0


def clip(colored: bool = True, count: int = COUNT) -> list[Pose]:
    """Poses in which a third of the Gaussians moves; quaternions of any length."""
    make = torch.Generator().manual_seed(5)
    first = [torch.randn(count, width, generator=make) for width in (3, 4, 3)]
    poses = [first]
    for _ in TIMES[1:]:
        poses.append([v + 0.1 * MOVING[:count, None] * torch.randn(v.shape, generator=make) for v in poses[-1]])
    return [Pose(m, q, c if colored else None) for m, q, c in poses]


def filled(folder: Path, precision: str, poses: list[Pose]) -> TrackStore:
    store = TrackStore.create(folder, TIMES, precision)
    for pose in poses:
        store.append(pose.means, pose.quats_wxyz, pose.colors, MOVING[: len(pose)])
    return store


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("colored", [True, False])
def test_float32_keeps_every_bit(tmp_path, colored):
    poses = clip(colored)
    poses[2].means[1, 2], poses[2].quats_wxyz[4, 0] = -0.0, 1e-42  # no moving ones; nor usual numbers
    filled(tmp_path, "float32", poses)
    found = TrackStore.open(tmp_path).read()
    assert found.times.tolist() == TIMES and found.times.dtype == torch.float64
    assert torch.equal(found.means.view(torch.int32), torch.stack([pose.means for pose in poses]).view(torch.int32))
    assert torch.equal(found.quats_wxyz, torch.stack([pose.quats_wxyz for pose in poses]))
    assert (found.colors is not None) == colored
    assert not colored or torch.equal(found.colors, torch.stack([pose.colors for pose in poses]))


@pytest.mark.parametrize("colored", [True, False])
def test_compact_is_as_exact_as_promised(tmp_path, colored):
    poses = clip(colored)
    filled(tmp_path, "compact", poses)
    found = TrackStore.open(tmp_path).read()
    means, quats = torch.stack([p.means for p in poses]), torch.stack([p.quats_wxyz for p in poses])
    box = (means[:, MOVING].amax(1) - means[:, MOVING].amin(1)).amax()
    assert (found.means - means).abs().max() <= box / 65536
    cosine = torch.nn.functional.cosine_similarity(found.quats_wxyz.double(), quats.double(), dim=-1)
    assert torch.rad2deg(2 * cosine.abs().clamp(max=1).acos()).max() < 0.11
    for name, value in found.__dict__.items():
        if name != "times" and value is not None:
            assert torch.equal(value[:, ~MOVING], getattr(poses[0], name)[~MOVING].expand(len(TIMES), -1, -1))
            assert torch.equal(value[0], getattr(poses[0], name))
    assert (found.colors is not None) == colored
    assert not colored or (found.colors - torch.stack([p.colors for p in poses])).abs().max() <= 1 / 1024 + 1e-6


def test_compact_leaves_out_what_does_not_move(tmp_path):
    poses = clip()
    store = TrackStore.create(tmp_path, TIMES)
    store.append(poses[0].means, poses[0].quats_wxyz, poses[0].colors, MOVING)
    for pose in poses[1:]:
        store.append(pose.means, pose.quats_wxyz, pose.colors, torch.zeros(COUNT, dtype=torch.bool))
    assert torch.equal(store.read().means, poses[0].means.expand(len(TIMES), -1, -1))


@pytest.mark.parametrize("precision", ["compact", "float32"])
def test_what_begins_and_ceases_to_move(tmp_path, precision):
    store, pose = TrackStore.create(tmp_path, TIMES, precision), clip()[0]
    means, expected = pose.means.clone(), []
    for index in range(len(TIMES)):
        moving = torch.arange(COUNT) % 4 == index
        means[moving] += 1.0
        expected.append(means.clone())
        store.append(means, pose.quats_wxyz, pose.colors, moving)
    assert (TrackStore.open(tmp_path).read().means - torch.stack(expected)).abs().max() < 1e-4


@pytest.mark.parametrize("precision", ["compact", "float32"])
def test_the_unborn_are_where_they_will_be_born(tmp_path, precision):
    poses, store = clip(), TrackStore.create(tmp_path, TIMES, precision)
    counts = (30, 30, 45, COUNT)
    for pose, count in zip(poses, counts, strict=True):
        part = pose.rows(slice(0, count))
        store.append(part.means, part.quats_wxyz, part.colors, MOVING[:count])
    found = store.read()
    assert found.means.shape == (len(TIMES), COUNT, 3)
    for name in ("means", "quats_wxyz", "colors"):
        value = getattr(found, name)
        assert torch.equal(value[:3, 30:45], getattr(poses[2], name)[30:45].expand(3, -1, -1))
        assert torch.equal(value[:, 45:], getattr(poses[3], name)[45:].expand(len(TIMES), -1, -1))
    assert (found.means[3, 30:45] - poses[3].means[30:45]).abs().max() < 1e-3
    assert [len(pose) for pose in store.poses()] == list(counts)


@pytest.mark.parametrize("precision", ["compact", "float32"])
def test_continuing_gives_the_same_files(tmp_path, precision):
    poses = clip()
    filled(tmp_path / "whole", precision, poses)
    filled(tmp_path / "parts", precision, poses[:3])
    store = TrackStore.open(tmp_path / "parts")
    assert store.num_steps == 3
    store.truncate(2)
    assert TrackStore.open(tmp_path / "parts").num_steps == store.num_steps == 2
    for pose in poses[2:]:
        store.append(pose.means, pose.quats_wxyz, pose.colors, MOVING)
    for name in ("means", "quats_wxyz", "colors"):
        whole = TrackStore.open(tmp_path / "whole").read()
        assert torch.equal(getattr(TrackStore.open(tmp_path / "parts").read(), name), getattr(whole, name))


def test_appending_writes_one_file_and_is_valid_after_each(tmp_path):
    store = TrackStore.create(tmp_path, TIMES)
    for index, pose in enumerate(clip()):
        before = contents(tmp_path)
        store.append(pose.means, pose.quats_wxyz, pose.colors, MOVING)
        after = contents(tmp_path)
        assert len(after) == len(before) + 1 and before.items() <= after.items()
        assert len(TrackStore.open(tmp_path).read().times) == store.num_steps == index + 1


def test_a_store_does_not_hold_on_to_tensors_of_others(tmp_path):
    store, poses = TrackStore.create(tmp_path, TIMES, "float32"), clip()
    means = poses[0].means.clone()
    store.append(means, poses[0].quats_wxyz, poses[0].colors, MOVING)
    means += 1  # as an optimizer does
    store.append(means, poses[0].quats_wxyz, poses[0].colors, MOVING)
    assert torch.equal(store.read().means[1], poses[0].means + 1)


def test_moments_are_not_overwritten(tmp_path):
    store = filled(tmp_path, "compact", clip())
    with pytest.raises(ValueError, match="all 4 moments"):
        store.append(*vars(clip()[0]).values(), MOVING)
    with pytest.raises(UserError, match="holds 4 moments"):
        TrackStore.create(tmp_path, TIMES)
    store.truncate(0)
    assert TrackStore.create(tmp_path, [0.0]).times.tolist() == [0.0]


def test_a_gap_hides_what_comes_after_and_is_not_filled(tmp_path):
    filled(tmp_path, "compact", clip())
    (tmp_path / "moment_00002.npz").unlink()
    store = TrackStore.open(tmp_path)
    assert store.num_steps == 2 and len(store.read().times) == 2
    with pytest.raises(UserError, match="moment_00002.npz is missing"):
        store.append(*vars(clip()[2]).values(), MOVING)
    store.truncate(2)
    store.append(*vars(clip()[2]).values(), MOVING)
    assert store.num_steps == 3


def test_wrong_poses_are_refused(tmp_path):
    store, pose = TrackStore.create(tmp_path, TIMES), clip()[0]
    with pytest.raises(ValueError):
        store.append(pose.means[:0], pose.quats_wxyz[:0], None, MOVING[:0])
    with pytest.raises(ValueError):
        store.append(pose.means, pose.quats_wxyz[:, :3], pose.colors, MOVING)
    store.append(pose.means, pose.quats_wxyz, pose.colors, MOVING)
    fewer = [value[:-1] for value in (pose.means, pose.quats_wxyz, pose.colors)]
    for wrong in (
        (*fewer, MOVING[:-1]),
        (pose.means, pose.quats_wxyz, None, MOVING),
        (pose.means, pose.quats_wxyz, pose.colors, MOVING.float()),
        (pose.means * torch.nan, pose.quats_wxyz, pose.colors, MOVING),
    ):
        with pytest.raises(ValueError) as error:
            store.append(*wrong)
        assert "\n" not in str(error.value)
    assert store.num_steps == 1


@pytest.mark.parametrize(
    "record",
    [
        [],
        {"precision": "compact"},
        {"precision": "best", "times": [0.0, 1.0]},
        {"precision": "compact", "times": []},
        {"precision": "compact", "times": [0.0, 0.0]},
        {"precision": "compact", "times": [0.0, "1"]},
        {"precision": ["compact"], "times": [0.0, None]},
    ],
)
def test_damaged_records_are_refused_in_one_line(tmp_path, record):
    write_json(tmp_path / "tracks.json", record)
    with pytest.raises(UserError, match="tracks.json") as error:
        TrackStore.open(tmp_path)
    assert "\n" not in str(error.value)


def test_nothing_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no tracks.json"):
        TrackStore.open(tmp_path)
    with pytest.raises(UserError, match="no moment"):
        TrackStore.create(tmp_path, TIMES).read()
    for times, precision in (([1.0, 0.0], "compact"), ([], "compact"), ([0.0], "half")):
        with pytest.raises(ValueError):
            TrackStore.create(tmp_path, times, precision)


def _without(name):
    return lambda chunk: chunk.pop(name)


def _with(name, make):
    return lambda chunk: chunk.update({name: make(chunk[name])})


@pytest.mark.parametrize("precision", ["compact", "float32"])
@pytest.mark.parametrize("moment", [0, 1])
@pytest.mark.parametrize(
    "damage",
    [
        *(
            _without(name)
            for name in ("changed", "spacing", "born_means", "born_colors", "step_means", "step_quats_wxyz")
        ),
        _with("changed", lambda value: np.zeros(len(value) + 1, np.uint8)),
        _with("spacing", lambda value: np.array("x")),
        _with("born_means", lambda value: value.astype(np.float64)),
        _with("born_quats_wxyz", lambda value: np.zeros((3, 4), np.float32)),
        _with("born_means", lambda value: np.array(1.0, np.float32)),
        _with("step_means", lambda value: np.zeros((9, *value.shape[1:]), value.dtype)),
        _with("step_means", lambda value: value[..., :-1] if value.size else value[..., None]),
        _with("step_colors", lambda value: value.astype(np.int64)),
    ],
)
def test_damaged_moments_are_refused_in_one_line(tmp_path, precision, moment, damage):
    filled(tmp_path, precision, clip())
    path = tmp_path / f"moment_{moment:05d}.npz"
    chunk = read_npz(path)
    damage(chunk)
    write_npz(path, chunk, compress=True)
    with pytest.raises(UserError) as error:
        TrackStore.open(tmp_path).read()
    assert "\n" not in str(error.value) and "moment_" in str(error.value)


def test_a_cut_off_moment_is_refused_in_one_line(tmp_path):
    filled(tmp_path, "compact", clip())
    path = tmp_path / "moment_00001.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match="moment_00001"):
        TrackStore.open(tmp_path).read()


def test_smooth_motion_takes_few_bytes(tmp_path):
    """Positions and rotations take 28 bytes as they are, and 6 at most before they are compressed."""
    count, steps = 2000, 6
    make = torch.Generator().manual_seed(0)
    points, quats = 2 * torch.rand(count, 3, generator=make), torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1)
    store = TrackStore.create(tmp_path, torch.linspace(0, 1, steps).tolist())
    for index in range(steps):
        store.append(points + 0.001 * index, quats + 0.01 * index, None, torch.ones(count, dtype=torch.bool))
    last = read_npz(tmp_path / "moment_00005.npz")
    small = sum(value.nbytes for name, value in last.items() if name.startswith("step_"))
    assert small <= 6 * count
    assert (tmp_path / "moment_00005.npz").stat().st_size < small
    assert len(zlib.compress(last["step_means"].tobytes())) < count
