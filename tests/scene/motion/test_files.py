"""scene/motion/files.py: motions on disk."""

from __future__ import annotations

import pytest
import torch

from arguments import MotionParams
from scene.formats.ply import write_ply
from scene.initialization import InitOptions, from_ply, from_random
from scene.motion import MotionSetup, make_motion
from scene.motion.files import load_motion, motion_beside, motion_folder, save_motion
from tests.scene.motion.test_deformation_network import published_state
from utils.errors import UserError
from utils.files import save_torch, write_json

KINDS = {
    "real": MotionParams(motion="deform_mlp"),
    "synthetic": MotionParams(motion="deform_mlp", is_blender=True, compat_quat=True),
    "screw": MotionParams(motion="deform_mlp", is_6dof=True),
    "bases": MotionParams(motion="motion_bases", num_bases=4),
}


def trained(params: MotionParams):
    torch.manual_seed(1)
    model = from_random(InitOptions(count=12), ((-1.0,) * 3, (1.0,) * 3), "cpu")
    model = model.with_motion(make_motion(params.motion, MotionSetup(params, (0.1, 0.2, 0.3), 2.0)))
    model.motion.on_iteration(params.warm_up, model)
    with torch.no_grad():
        for value in model.motion.network.parameters():
            value.add_(0.02 * torch.randn_like(value))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_moves_alike(tmp_path, kind):
    model = trained(KINDS[kind])
    ply = tmp_path / "point_cloud" / "iteration_7" / "point_cloud.ply"
    write_ply(ply, model.to_arrays())
    save_motion(motion_folder(tmp_path, 7), model.motion)
    again = from_ply(ply).with_motion(load_motion(tmp_path, 7, "cpu"))
    for name in ("means", "quats_wxyz", "scales"):
        torch.testing.assert_close(getattr(again.at(0.3), name), getattr(model.at(0.3), name))
    assert motion_beside(ply, "cpu").kind == model.motion.kind


def test_a_folder_without_motion_stands_still(tmp_path):
    assert load_motion(tmp_path, 7, "cpu").is_static
    assert motion_beside(tmp_path / "cloud.ply", "cpu") is None


@pytest.mark.parametrize("is_blender", [False, True])
@pytest.mark.parametrize("is_6dof", [False, True])
def test_weights_of_other_programs_are_taken_as_they_are(tmp_path, is_blender, is_6dof):
    folder = motion_folder(tmp_path, 40_000)
    save_torch(folder / "deform.pth", published_state(is_blender, is_6dof))
    motion = load_motion(tmp_path, 40_000, "cpu")
    assert (motion.network.is_blender, motion.network.is_6dof) == (is_blender, is_6dof)
    model = from_random(InitOptions(count=5), ((-1.0,) * 3, (1.0,) * 3), "cpu").with_motion(motion)
    moved = model.at(0.5)
    assert ((moved.means - model.means).norm(dim=1) > 1e-6).all()
    assert (moved.quats_wxyz.norm(dim=1) - 1).abs().max() > 1e-6  # Deformable 3DGS does not normalise again


def test_another_iteration_is_not_taken_for_this_one(tmp_path):
    save_torch(motion_folder(tmp_path, 10) / "deform.pth", published_state(False, False))
    with pytest.raises(UserError, match="iteration 20"):
        load_motion(tmp_path, 20, "cpu")


@pytest.mark.parametrize(
    "record",
    [
        [],
        {"kind": "deform_mlp"},
        {"kind": "nothing", "center": [0, 0, 0], "radius": 1},
        {"kind": "deform_mlp", "center": [0, 0], "radius": 1},
        {"kind": "deform_mlp", "center": [0, 0, 0], "radius": 0},
        {"kind": "motion_bases", "center": [0, 0, 0], "radius": 1, "num_bases": 9},
        {"kind": "motion_bases", "center": [0, 0, 0], "radius": 1, "num_bases": "nine"},
    ],
)
def test_damaged_records_are_refused_in_one_line(tmp_path, record):
    model = trained(KINDS["bases"])
    folder = motion_folder(tmp_path, 7)
    save_motion(folder, model.motion)
    save_torch(folder / "deform.pth", published_state(False, False) | {"more": torch.zeros(1)})
    write_json(folder / "motion.json", record)
    with pytest.raises(UserError) as error:
        load_motion(tmp_path, 7, "cpu")
    assert "\n" not in str(error.value)
