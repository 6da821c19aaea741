"""training/newcomers.py"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import train
from arguments import ModelParams
from gaussian_renderer import render
from gaussian_renderer.trained import open_trained
from scene.cameras import Camera
from scene.image_store import ImageStore
from tests.blob_rig import NEWCOMER, SPEED, write_blob_rig
from tests.blobs import CENTRES, RADIUS, REFERENCE, blob_model, ring_cameras
from training.newcomers import AGREEMENT, Newcomers, Witness, add_rows, agreed, find_newcomers, without_specks
from training.optimizers import build_optimizer, parameter_groups
from utils.spherical_harmonics import sh_to_rgb

BALL, SIZE = torch.tensor([0.3, -0.2, 0.1]), 0.4  # centre and radius of a newcomer, world units
COLOR = torch.tensor([0.2, 0.6, 0.4])


def disc(camera: Camera, center: Tensor = BALL, radius: float = SIZE) -> Tensor:
    """The pixels [H, W] whose rays hit a ball."""
    rows, columns = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    x, y = (columns + 0.5 - camera.cx) / camera.fx, (rows + 0.5 - camera.cy) / camera.fy
    rays = torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)], -1), dim=-1)
    pose = camera.world_to_camera
    middle = pose[:3, :3] @ center + pose[:3, 3]
    along = rays @ middle
    return middle.square().sum() - along.square() < radius**2


def witnesses(count: int = 6, surplus: float | None = None, blind: int = 0) -> list[Witness]:
    """Pictures of a ball of one colour, some of which do not cry for it."""
    found = []
    for index, camera in enumerate(ring_cameras(count, width=96, height=80)):
        crying = disc(camera) & (index >= blind)
        image = torch.where(crying, COLOR[:, None, None], torch.zeros(3, 1, 1))
        found.append(Witness(camera, image, crying, float(crying.float().mean()) if surplus is None else surplus))
    return found


def found_in(pictures: list[Witness], least: int = 30) -> Newcomers | None:
    torch.manual_seed(0)
    return find_newcomers(pictures, (0.0, 0.0, 0.0), 2.0, least)


def test_the_points_fill_what_the_pictures_agree_on_and_have_its_colour():
    found = found_in(witnesses())
    distances = (found.points - BALL).norm(dim=1)
    assert len(found.points) > 200 and distances.max() < 2 * SIZE and distances.median() < SIZE
    assert (found.points.mean(0) - BALL).norm() < 0.3 * SIZE
    assert torch.allclose(found.colors, COLOR.expand_as(found.colors), atol=1e-6)


def test_they_depend_on_the_seed_alone():
    assert torch.equal(found_in(witnesses()).points, found_in(witnesses()).points)


def test_too_little_to_cry_for_is_nobody():
    assert found_in(witnesses(surplus=0.0004)) is None
    assert found_in(witnesses(), least=10**6) is None
    silent = [replace(w, crying=torch.zeros_like(w.crying), surplus=0.0) for w in witnesses()]
    assert found_in(silent) is None


def test_pictures_that_do_not_agree_are_not_believed():
    assert found_in(witnesses(blind=3)) is None
    ends = torch.cat([torch.eye(3), -torch.eye(3)])
    elsewhere = [replace(w, crying=disc(w.camera, end)) for w, end in zip(witnesses(), ends, strict=True)]
    assert found_in(elsewhere) is None


def test_one_picture_in_twelve_may_see_it_hidden():
    found = found_in(witnesses(12, blind=1))
    assert (found.points - BALL).norm(dim=1).median() < SIZE


def test_agreement_is_counted_point_by_point():
    pictures, points = witnesses(), BALL + 3 * SIZE * (torch.rand(200, 3) - 0.5)
    chosen, _ = agreed(pictures, points)
    for point, is_chosen in zip(points, chosen, strict=True):
        seen = [w for w in pictures if is_in_frame(w.camera, point)]
        share = sum(bool(w.crying[pixel_of(w.camera, point)]) for w in seen) / len(seen)
        assert bool(is_chosen) == (len(seen) >= 3 and share >= AGREEMENT)


def pixel_of(camera: Camera, point: Tensor) -> tuple[int, int]:
    x, y, z = camera.world_to_camera[:3, :3] @ point + camera.world_to_camera[:3, 3]
    return int(torch.floor(y / z * camera.fy + camera.cy)), int(torch.floor(x / z * camera.fx + camera.cx))


def is_in_frame(camera: Camera, point: Tensor) -> bool:
    row, column = pixel_of(camera, point)
    return 0 <= row < camera.height and 0 <= column < camera.width


def test_specks_and_thin_lines_are_dropped_and_patches_kept():
    mask = torch.zeros(20, 20, dtype=torch.bool)
    mask[2, 2] = mask[10] = True
    mask[14:18, 3:9] = True
    expected = torch.zeros_like(mask)
    expected[14:18, 3:9] = True
    assert torch.equal(without_specks(mask), expected)


def test_new_rows_come_last_and_the_optimizer_follows():
    model = blob_model(per_blob=5)
    optimizer = build_optimizer("sparse_adam", parameter_groups(model.params, dict.fromkeys(model.params, 0.01)))
    sum(p.square().sum() for p in model.params.values()).backward()
    optimizer.step()
    before = {name: value.detach().clone() for name, value in model.params.items()}
    points, colors = torch.rand(7, 3), torch.rand(7, 3)
    add_rows(model, optimizer, Newcomers(points, colors))
    for name, value in model.params.items():
        assert torch.equal(value[:15], before[name]) and len(value) == 22
        moments = optimizer.state[value]["exp_avg"]
        assert moments.shape == value.shape and not moments[15:].any()
    still = model.activated()
    assert torch.equal(still.means[15:], points) and torch.allclose(still.opacities[15:], torch.tensor(0.1))
    assert torch.allclose(sh_to_rgb(model.params["f_dc"][15:, 0]), colors, atol=1e-6)
    assert not model.features[15:].any()
    assert torch.allclose(still.quats_wxyz[15:].norm(dim=1), torch.ones(7)) and still.scales[15:].max() < 1


# ---- from end to end ----

QUICK = "--first_iterations 200 --step_iterations 60 --densify_until_iter 0 --track_position_lr 0.0008"
MOMENTS, FIRST_SEEN = 5, 2


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A rig with a newcomer, tracked with and without births."""
    folder = tmp_path_factory.mktemp("newcomer")
    data = write_blob_rig(folder / "rig", MOMENTS, newcomer=FIRST_SEEN)
    for name, flags in (("with", ["--checkpoint_iterations", "320"]), ("without", ["--no_births"])):
        fixed = ["-s", str(data), "-m", str(folder / name), "--eval", "--device", "cpu", "--max_drop_db", "0"]
        train.main([*fixed, *QUICK.split(), *flags])
    return {name: folder / name for name in ("rig", "with", "without")}


def opened(runs: dict[str, Path], name: str):
    return open_trained(ModelParams(source_path=str(runs["rig"]), model_path=str(runs[name]), eval=True, device="cpu"))


@torch.no_grad()
def errors(runs: dict[str, Path], name: str, moment: int) -> tuple[Tensor, Tensor]:
    """PSNR at the newcomer and elsewhere, in the training pictures of a moment."""
    trained = opened(runs, name)
    cameras = [c for c in trained.scene.train if abs(c.time - moment / (MOMENTS - 1)) < 1e-6]
    store, inside, outside = ImageStore(cameras, "cpu", prefetch=False), [], []
    for camera in cameras:
        squares = (render(camera, trained.model, settings=REFERENCE).color - store.get(camera).image).square().mean(0)
        here = disc(camera, NEWCOMER, 0.7 * RADIUS)
        inside.append(squares[here])
        outside.append(squares[~here])
    return tuple(-10 * torch.cat(part).mean().log10() for part in (inside, outside))


def red_path(runs: dict[str, Path], name: str) -> Tensor:
    """Means [T, 3] of the red ball."""
    model = opened(runs, name).model
    red = (model.means - CENTRES[0]).norm(dim=1) < RADIUS
    red[420:] = False
    with torch.no_grad():
        return torch.stack([model.at(step / (MOMENTS - 1)).means[red].mean(0) for step in range(MOMENTS)])


def test_a_newcomer_is_there_within_its_first_moments(runs):
    for moment in range(FIRST_SEEN, MOMENTS):
        here, elsewhere = errors(runs, "with", moment)
        assert here > elsewhere - 3
    assert errors(runs, "with", MOMENTS - 1)[0] > errors(runs, "without", MOMENTS - 1)[0] + 6


def test_it_disturbs_nobody(runs):
    path, alone = red_path(runs, "with"), red_path(runs, "without")
    assert torch.equal(path[:FIRST_SEEN], alone[:FIRST_SEEN])
    truth = path[0] - SPEED * torch.arange(MOMENTS)[:, None] * torch.tensor([0.0, 1.0, 0.0])
    miss, miss_alone = ((found - truth).norm(dim=1).max() for found in (path, alone))
    assert miss < 0.1 * SPEED * (MOMENTS - 1) and miss < miss_alone  # without births the ball is drawn to the newcomer


def test_it_is_stored_as_born_in_its_moment(runs):
    model = opened(runs, "with").model
    births = model.params["motion_code"][:, 1]
    assert len(opened(runs, "without").model) == 420 < len(model)
    assert set(births.tolist()) == {0.0, float(FIRST_SEEN)} and not births[:420].any()
    newborn = model.means[420:]
    assert (newborn - NEWCOMER).norm(dim=1).median() < RADIUS


def test_an_interrupted_run_gives_birth_to_the_same(runs):
    whole = opened(runs, "with").model
    with torch.no_grad():
        before = [whole.at(step / (MOMENTS - 1)) for step in range(MOMENTS)]
    for path in sorted((runs["with"] / "deform/iteration_440/tracks").glob("moment_*.npz"))[3:]:
        path.unlink()  # or the moments that are finished would be more than the checkpoint knows
    train.main(["-m", str(runs["with"]), "--resume", "--device", "cpu"])
    again = opened(runs, "with").model
    for step, drawn in enumerate(before):
        with torch.no_grad():
            now = again.at(step / (MOMENTS - 1))
        for name in ("means", "quats_wxyz", "scales", "opacities", "colors"):
            assert torch.equal(getattr(now, name), getattr(drawn, name)), (step, name)
