"""Cameras on parts of a scene."""

import math

import torch

from gaussian_renderer.camera_file import read_cameras
from scene.composition.camera_mount import low_pass, mounted_cameras, path_record, up_of
from scene.composition.layers import Anchor, Composition, Layer, Mount
from scene.composition.select import Choice, Source
from scene.composition.stage import Stage
from scene.composition.transform import Keyframe, Pose
from tests.blobs import blob_model, ring_cameras
from utils.files import write_json
from utils.transforms import quaternion_to_matrix

TIMES = tuple(index / 8 for index in range(9))
QUARTER = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)  # 90 degrees about y: z goes to x
RED, BLUE = (Choice("gaussians", tuple(range(start, start + 40))) for start in (0, 80))
UP = torch.tensor([0.0, -1.0, 0.0])


def turning_stage(fps=8.0):
    """All balls turn about y by 90 degrees and sink by 2."""
    keys = (Keyframe(0.0, Pose()), Keyframe(1.0, Pose((0.0, 2.0, 0.0), QUARTER)))
    layer = Layer("balls", model="x", keyframes=keys)
    return Stage(Composition((layer,), "balls", TIMES, fps), {"balls": Source(blob_model())}, TIMES)


def cameras(mount, **stage):
    return mounted_cameras(turning_stage(**stage), mount, ring_cameras(1)[0], UP)


def test_the_camera_turns_with_its_part():
    path = cameras(Mount(Anchor("balls", (RED,)), offset=(0.0, -1.0, 0.0), look=(0.0, 0.0, 1.0)))
    middle = turning_stage().middles(Anchor("balls", (RED,)), TIMES).float()
    for camera, place in zip(path, middle, strict=True):
        torch.testing.assert_close(camera.center, place + torch.tensor([0.0, -1.0, 0.0]), atol=1e-5, rtol=0)
    forward = torch.stack([path[0].world_to_camera[2, :3], path[-1].world_to_camera[2, :3]])
    torch.testing.assert_close(forward, torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), atol=1e-5, rtol=0)
    torch.testing.assert_close(path[4].world_to_camera[1, :3], -UP, atol=1e-5, rtol=0)
    assert [camera.time for camera in path] == list(TIMES)


def test_the_camera_looks_at_another_part():
    path = cameras(Mount(Anchor("balls", (RED,)), offset=(0.0, -1.0, 0.0), look=Anchor("balls", (BLUE,))))
    targets = turning_stage().middles(Anchor("balls", (BLUE,)), TIMES).float()
    for camera, target in zip(path, targets, strict=True):
        seen = camera.world_to_camera[:3, :3] @ target + camera.world_to_camera[:3, 3]
        assert seen[2] > 0 and seen[:2].abs().max() < 1e-4


def shaky_poses(count=40):
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(count, 4, generator=generator, dtype=torch.float64)
    poses = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    poses[:, :3, :3] = quaternion_to_matrix(torch.tensor([1.0, 0, 0, 0]) + noise)
    poses[:, :3, 3] = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return poses


def test_the_low_pass_calms_and_keeps_rotations():
    poses = shaky_poses()
    calm = low_pass(poses, 4.0)
    rotations = calm[:, :3, :3]
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand(40, 3, 3))
    for part in (slice(0, 3), slice(3, 4)):
        shake = [values[1:, :3, part].sub(values[:-1, :3, part]).norm() for values in (poses, calm)]
        assert shake[1] < 0.2 * shake[0]
    assert torch.equal(low_pass(poses, 0.0), poses)
    torch.testing.assert_close(low_pass(poses[:1].repeat(5, 1, 1), 2.0), poses[:1].repeat(5, 1, 1))


def test_a_turn_of_more_than_half_is_smoothed_without_a_jump():
    angles = torch.linspace(0, 2 * math.pi, 60, dtype=torch.float64)
    quats = torch.stack([(angles / 2).cos(), 0 * angles, (angles / 2).sin(), 0 * angles], 1)
    poses = torch.eye(4, dtype=torch.float64).repeat(60, 1, 1)
    poses[:, :3, :3] = quaternion_to_matrix(quats)
    calm = low_pass(poses, 2.0)
    assert (calm[1:, :3, :3] - calm[:-1, :3, :3]).flatten(1).norm(dim=1).max() < 0.16
    torch.testing.assert_close(calm[20:40], poses[20:40], atol=1e-6, rtol=0)


def test_seconds_are_those_of_the_composition():
    mount = Mount(Anchor("balls", (RED,)), smooth_sec=0.25)
    slow, fast = (torch.stack([c.center for c in cameras(mount, fps=fps)]) for fps in (8.0, 0.001))
    assert (slow - fast).abs().max() > 0.05


def test_the_path_can_be_read_by_the_renderer(tmp_path):
    path = cameras(Mount(Anchor("balls", (RED,)), fov_deg=90.0))
    write_json(tmp_path / "path.json", [path_record(camera) for camera in path])
    for ours, read in zip(path, read_cameras(tmp_path / "path.json"), strict=True):
        torch.testing.assert_close(read.world_to_camera, ours.world_to_camera, atol=1e-5, rtol=0)
        assert (read.fx, read.time, read.width) == (ours.fx, ours.time, ours.width)
        assert math.isclose(ours.fx, ours.width / 2, rel_tol=1e-6)


def test_up_is_up_in_the_photographs():
    assert float(torch.nn.functional.normalize(up_of(ring_cameras(6)), dim=0) @ UP.double()) > 0.999
