"""scene/motion/per_timestep.py, following.py, present.py, births.py and track_writer.py"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from arguments import MotionParams, TrackingParams
from scene.gaussian_model import GaussianModel
from scene.motion import MotionSetup
from scene.motion.per_timestep import PerTimestep
from scene.motion.track_store import TrackStore
from scene.motion.track_writer import VISIBLE_CHANGE
from scene.motion.trajectories import Trajectories
from tests.blob_rig import rig_model
from training.newcomers import Newcomers, add_rows
from training.optimizers import build_optimizer, parameter_groups
from utils.spherical_harmonics import sh_to_rgb

TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
EACH = 10  # iterations of every moment
RED = 40  # rows that may move, the first ones
TRACKING = TrackingParams(first_iterations=EACH, step_iterations=EACH, num_neighbours=4, settle_tolerance=0.0)


def labelled_model(motion: PerTimestep) -> GaussianModel:
    model, red = rig_model()
    return GaussianModel(dict(model.params) | {"motion_code": torch.cat([red, torch.zeros_like(red)], 1)}, None, motion)


def in_training(has_masks: bool = True, **given: object) -> tuple[PerTimestep, GaussianModel]:
    times = tuple(time for time in TIMES for _ in range(2))
    setup = MotionSetup(MotionParams(), times=times, has_masks=has_masks, tracking=replace(TRACKING, **given))
    motion = PerTimestep.create(setup)
    return motion, labelled_model(motion)


def train_until(motion: PerTimestep, model: GaussianModel, last: int, shift: Tensor | None = None) -> None:
    """Iterations up to `last`, each of which moves what moves by `shift` [3]."""
    for iteration in range(motion.iteration + 1, last + 1):
        motion.on_iteration(iteration, model)
        if motion.present is not None and shift is not None:
            motion.present.means.data += shift
        motion.after_iteration(iteration, model)


def finished() -> tuple[PerTimestep, GaussianModel]:
    """A finished motion along x with colours that grow lighter, of which the last Gaussian is born at the third
    moment."""
    model, red = rig_model()
    along = torch.tensor([1.0, 0.0, 0.0]) * red
    means = torch.stack([model.means.detach() + time * along for time in TIMES])
    quats = model.quats_wxyz.detach().expand(len(TIMES), -1, -1)
    colors = torch.stack([torch.full_like(along, 0.2 + 0.5 * time) for time in TIMES])
    motion = PerTimestep.of(Trajectories(torch.tensor(TIMES, dtype=torch.float64), means, quats, colors))
    model = labelled_model(motion)
    model.params["motion_code"].data[-1, 1] = 2
    return motion, model


@torch.no_grad()
def test_a_finished_motion_is_at_and_between_its_moments():
    _, model = finished()
    for time in (0.0, 0.5, 0.6, 1.0):
        drawn = model.at(time)
        assert torch.allclose(drawn.means[:RED, 0] - model.means[:RED, 0], torch.tensor(time), atol=1e-6)
        assert torch.equal(drawn.means[RED:], model.means[RED:])
        assert torch.allclose(drawn.colors, torch.tensor(0.2 + 0.5 * time)) and drawn.sh is None


@torch.no_grad()
def test_nobody_is_seen_before_birth():
    _, model = finished()
    shown = [float(model.at(time).opacities[-1]) for time in (0.0, 0.4, 0.5, 1.0)]
    assert shown[:2] == [0.0, 0.0] and shown[2] == shown[3] > 0.9
    assert float(model.at(0.0).opacities[:-1].min()) > 0.9


@torch.no_grad()
def test_before_training_everything_is_where_it_is_stored():
    _, model = in_training()
    drawn = model.at(0.7)
    assert torch.equal(drawn.means, model.means)
    assert torch.allclose(drawn.colors, sh_to_rgb(model.params["f_dc"][:, 0]), atol=1e-6)


@pytest.mark.parametrize("precision", ["compact", "float32"])
@torch.no_grad()
def test_what_is_saved_is_loaded(tmp_path, precision):
    motion, model = finished()
    motion.tracking = replace(motion.tracking, track_precision=precision)
    motion.save(tmp_path)
    loaded = PerTimestep.create(MotionSetup(MotionParams()))
    loaded.load(tmp_path)
    assert loaded.times == list(TIMES) and loaded.knows(1.0)
    for time in (0.0, 0.3, 1.0):
        here, there = model.at(time), model.with_motion(loaded).at(time)
        assert torch.allclose(here.means, there.means, atol=1e-4)
        assert torch.allclose(here.colors, there.colors, atol=VISIBLE_CHANGE)
        assert torch.equal(here.opacities, there.opacities)


def test_moments_are_admitted_and_known_one_after_the_other():
    motion, model = in_training()
    for step in range(len(TIMES)):
        train_until(motion, model, (step + 1) * EACH)
        assert motion.step == step and motion.admitted == [2 * step, 2 * step + 1]
        assert motion.knows(TIMES[step]) and (step == 4 or not motion.knows(TIMES[step + 1]))
        assert motion.is_due(motion.iteration) and not motion.is_due(motion.iteration + 1)


def test_labels_are_only_there_with_masks():
    motion, model = in_training()
    assert motion.labels(model).sum() == RED and motion.labels(model).shape == (len(model), 1)
    motion, model = in_training(mask_free=True)
    train_until(motion, model, 1)
    assert motion.labels(model) is None and model.params["motion_code"][:, 0].min() == 1


def test_motion_goes_on_as_it_was_and_the_background_stays():
    motion, model = in_training(parts=False)
    shift = torch.tensor([0.01, 0.0, 0.0])
    train_until(motion, model, 2 * EACH, shift)
    train_until(motion, model, 2 * EACH + 1)
    moved = model.at(TIMES[2]).means.detach() - model.means
    assert torch.allclose(moved[:RED], 2 * EACH * shift, atol=1e-5) and not moved[RED:].any()
    assert motion.speed() == pytest.approx(EACH * 0.01, rel=1e-3)


def test_without_a_fixed_background_everything_moves_and_is_held():
    motion, model = in_training(fixed_background=False, births=False)
    train_until(motion, model, EACH + 1, torch.tensor([0.01, 0.0, 0.0]))
    moved = model.at(TIMES[1]).means - model.means
    assert torch.allclose(moved[:, 0], torch.tensor(0.01), atol=1e-6)
    assert motion.losses()["background"].item() == pytest.approx(20 * 0.01, rel=1e-4)


@pytest.mark.parametrize(
    ("mode", "trained"),
    [("frozen", set()), ("gain", {"gains"}), ("soft", {"colors", "resting_colors"})],
)
def test_each_colour_mode_trains_its_own(mode, trained):
    motion, model = in_training(color_mode=mode)
    train_until(motion, model, EACH + 1)
    groups = {group["name"] for group in motion.parameter_groups()}
    assert groups & {"colors", "resting_colors", "gains"} == trained
    with torch.no_grad():
        motion.present.gains[1], motion.present.colors[:] = 0.5, 0.25
    drawn, first = model.at(TIMES[1]).colors, motion.present.pose.colors
    factor = {"frozen": first[:RED], "gain": 0.5 * first[:RED], "soft": torch.full((RED, 3), 0.25)}[mode]
    assert torch.equal(drawn[:RED], factor) and torch.equal(drawn[RED:], first[RED:])


# ---- births ----

COUNT = 12


def born(motion: PerTimestep, model: GaussianModel) -> None:
    """A cloud of newborns."""
    points = 0.1 * torch.rand(COUNT, 3, generator=torch.Generator().manual_seed(4)) + torch.tensor([0.0, -1.0, 0.0])
    rates = dict.fromkeys(model.params, 0.0)
    optimizer = build_optimizer("default", parameter_groups(model.params, rates))
    add_rows(model, optimizer, Newcomers(points, torch.full((COUNT, 3), 0.5)))
    motion.welcome(model)


def test_newcomers_are_sought_once_a_moment_and_not_in_the_first():
    motion, model = in_training(birth_check=0.3)
    sought = []
    for iteration in range(1, len(TIMES) * EACH + 1):
        train_until(motion, model, iteration)
        sought += [iteration] * motion.seeks_newcomers(iteration)
    assert sought == [13, 23, 33, 43]
    motion, model = in_training(births=False)
    train_until(motion, model, 13)
    assert not motion.seeks_newcomers(13)


def test_a_settled_moment_waits_for_its_newcomers():
    motion, model = in_training(birth_check=0.5)
    train_until(motion, model, 12)
    motion.settling.is_settled = True
    assert motion.following(12) == 13 and motion.following(15) == 20


def test_newborns_come_last_and_the_others_stay_as_they_are():
    motion, model = in_training()
    train_until(motion, model, 2 * EACH + 3, torch.tensor([0.01, 0.0, 0.0]))
    before, phase, num_old = model.at(TIMES[2]), motion.phase, len(model)
    born(motion, model)
    after = model.at(TIMES[2])
    assert len(model) == len(after.means) == num_old + COUNT and motion.phase != phase and motion.revision == 1
    for name in ("means", "quats_wxyz", "scales", "opacities", "colors"):
        assert torch.equal(getattr(after, name)[:num_old], getattr(before, name)), name
    assert model.params["motion_code"][num_old:].tolist() == [[1.0, 2.0]] * COUNT
    assert not model.at(TIMES[1]).opacities[num_old:].any() and after.opacities[num_old:].min() > 0.05


def test_a_pair_counts_as_before_births():
    motion, model = in_training(parts=False)
    train_until(motion, model, EACH + 3)

    def rigid() -> float:
        with torch.no_grad():
            motion.present.means[0] += 0.05
            model.at(TIMES[1])
            losses = motion.losses()
            motion.present.means[0] -= 0.05
        return losses["rigid"].item()

    before = rigid()
    born(motion, model)
    assert rigid() == pytest.approx(before, rel=1e-3) and before > 0


def test_the_young_find_opacity_and_size_for_some_moments_and_are_bonded_after_the_first():
    motion, model = in_training(birth_moments=2)
    train_until(motion, model, EACH + 3)
    born(motion, model)
    assert not motion.present.bonds.hood.weights[RED:].any()
    names = {group["name"] for group in motion.parameter_groups()}
    assert {"young_opacity", "young_scaling"} < names
    with torch.no_grad():
        motion.present.youth.parameters["young_opacity"].fill_(2.0)
        motion.present.means[RED:] += 1.0
    train_until(motion, model, 2 * EACH)
    assert torch.equal(model.params["opacity"][-COUNT:], torch.full((COUNT, 1), 2.0))
    assert torch.equal(model.means[-COUNT:], motion.course.history[0].means[-COUNT:])
    train_until(motion, model, 2 * EACH + 1)
    assert motion.present.bonds.hood.weights[RED:].min() > 0 and motion.present.num_young == COUNT
    train_until(motion, model, 3 * EACH + 1)
    assert motion.present.youth is None
    assert motion.present.bonds.hood.indices[RED:].min() >= RED


@pytest.mark.parametrize("red", [0, 1, 3])
def test_a_newcomer_may_enter_where_next_to_nothing_moves(red):
    motion, model = in_training()
    model.params["motion_code"].data[red:] = 0
    train_until(motion, model, EACH + 3)
    model.at(TIMES[1])
    assert motion.losses()["rigid"].item() < 1e-6
    born(motion, model)
    train_until(motion, model, 3 * EACH + 3, torch.tensor([0.01, 0.0, 0.0]))
    drawn = model.at(TIMES[3])
    assert len(motion.present.foreground) == red + COUNT and motion.losses()["rigid"].isfinite()
    assert torch.equal(drawn.means[red:-COUNT], model.means[red:-COUNT])


def test_two_generations_are_kept_apart():
    motion, model = in_training(birth_moments=2)
    for step in (1, 2):
        train_until(motion, model, step * EACH + 3)
        born(motion, model)
    train_until(motion, model, 3 * EACH + 1)
    indices = motion.present.bonds.hood.indices
    assert motion.present.num_young == COUNT and len(indices) == RED + 2 * COUNT
    assert indices[RED : RED + COUNT].min() >= RED and indices[RED : RED + COUNT].max() < RED + COUNT
    assert indices[RED + COUNT :].min() >= RED + COUNT
    assert [len(level.size) for level in motion.present.levels] == [1 + 2, 1 + 2]


@torch.no_grad()
def test_a_run_goes_on_from_its_state_as_if_nothing_had_happened(tmp_path):
    motion, model = in_training()
    train_until(motion, model, EACH + 3)
    motion.save(tmp_path / "whole")
    born(motion, model)
    motion.present.youth.parameters["young_scaling"].fill_(-3.0)
    again = PerTimestep.create(motion.setup)
    again.load_state_dict({name: value.clone() for name, value in motion.state_dict().items()})
    twin = GaussianModel({name: value.detach().clone() for name, value in model.params.items()}, None, again)
    again.iteration = motion.iteration
    for run, own, folder in ((motion, model, "whole"), (again, twin, "again")):
        train_until(run, own, 4 * EACH, torch.tensor([0.001, 0.0, 0.0]))
        run.save(tmp_path / folder)
    for name, value in model.params.items():
        assert torch.equal(value, twin.params[name]), name
    for pose, other in zip(motion.course.history, again.course.history, strict=True):
        assert torch.equal(pose.means, other.means) and torch.equal(pose.quats_wxyz, other.quats_wxyz)


@torch.no_grad()
@pytest.mark.parametrize("mode", ["soft", "gain"])
def test_a_run_goes_on_from_its_poses_alone(tmp_path, mode):
    """Births at two moments and pairs that were cut: what holds together follows from where everything was."""
    given = {"cut_strain": 0.05, "cut_after": 1, "birth_moments": 2, "track_precision": "float32", "color_mode": mode}
    motion, model = in_training(**given)
    train_until(motion, model, EACH)
    motion.save(tmp_path)
    for step in range(1, 4):
        train_until(motion, model, step * EACH + 3)
        motion.present.means.data[: RED // 2] += 0.1  # half of the ball breaks off
        if mode == "gain":
            motion.present.gains.data[1] = 1.0 + 0.1 * step
        else:
            motion.present.colors.data[:RED] += 0.01
        if step < 3:
            born(motion, model)
        train_until(motion, model, (step + 1) * EACH)
        motion.save(tmp_path)
    poses = TrackStore.open(tmp_path / "tracks").read()
    state = {f"history.{name}": getattr(poses, name) for name in ("means", "quats_wxyz", "colors")}
    again = PerTimestep.create(motion.setup)
    again.load_state_dict(state | {"stored_colors": poses.colors[-1].clone()})
    twin = GaussianModel({name: value.detach().clone() for name, value in model.params.items()}, None, again)
    for run, own in ((motion, model), (again, twin)):
        run.on_iteration(4 * EACH + 1, own)
    found, wanted = again.present.state_dict(), motion.present.state_dict()
    assert found.keys() == wanted.keys() and not bool((wanted["bonds.weights"][:RED] > 0).all())
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, msg=name)
    torch.testing.assert_close(again.present.earlier_offsets, motion.present.earlier_offsets)


@torch.no_grad()
def test_a_folder_that_grew_by_births_is_read_whole(tmp_path):
    motion, model = in_training()
    for step in range(1, 4):
        train_until(motion, model, step * EACH + 3)
        if step == 2:
            born(motion, model)
        train_until(motion, model, (step + 1) * EACH)
        motion.save(tmp_path)
    loaded = PerTimestep.create(MotionSetup(MotionParams()))
    loaded.load(tmp_path)
    there = model.with_motion(loaded)
    assert there.at(TIMES[3]).means.shape == (len(model), 3)
    assert torch.allclose(there.at(0.0).means, model.means, atol=1e-3)
    assert not there.at(TIMES[1]).opacities[-COUNT:].any() and there.at(TIMES[2]).opacities[-COUNT:].all()
