"""The layout of Dynamic 3D Gaussians and its traps."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from scene.datasets import ReadOptions, read_scene
from scene.scene_info import DatasetError
from tests.helpers import data_path
from tests.scene.small_scenes import HEIGHT, WIDTH, write_images, write_json

TRAIN, TEST, MOMENTS = (3, 7), (5,), 3


def pose_of(camera):
    """World to camera of a camera 4 in front of the origin, at an angle that its number gives."""
    angle = 0.2 * camera
    pose = np.eye(4)
    pose[0, 0] = pose[2, 2] = np.cos(angle)
    pose[0, 2], pose[2, 0] = np.sin(angle), -np.sin(angle)
    pose[2, 3] = 4.0
    return pose


def matrix_of(camera, moment=0):
    return [[20.0 + camera, 0, 11.0], [0, 21.0 + moment, 8.5], [0, 0, 1]]


def meta(cameras, moments=MOMENTS):
    return {
        "w": WIDTH,
        "h": HEIGHT,
        "fn": [[f"{camera}/{moment:06d}.png" for camera in cameras] for moment in range(moments)],
        "cam_id": [list(cameras)] * moments,
        "k": [[matrix_of(camera, moment) for camera in cameras] for moment in range(moments)],
        "w2c": [[pose_of(camera).tolist() for camera in cameras]] * moments,
    }


def cloud(count=50):
    """x y z r g b seg near the origin."""
    random = np.random.default_rng(0)
    columns = (random.uniform(-0.5, 0.5, (count, 3)), random.random((count, 3)), random.random((count, 1)) > 0.5)
    return np.concatenate(columns, axis=1)


def write_masks(root, cameras, value=255, moments=MOMENTS):
    """Masks whose left third may move."""
    for camera in cameras:
        for moment in range(moments):
            path = root / f"seg/{camera}/{moment:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[:, : WIDTH // 3] = value
            Image.fromarray(mask).save(path)


def rig(root, train=None, test=None, points=None):
    """Two training cameras and one to hold out, three moments."""
    for camera in (*TRAIN, *TEST):
        write_images(root / "ims", [f"{camera}/{moment:06d}.png" for moment in range(MOMENTS)])
    write_json(root / "train_meta.json", meta(TRAIN) if train is None else train)
    write_json(root / "test_meta.json", meta(TEST) if test is None else test)
    write_masks(root, TRAIN)
    np.savez(root / "init_pt_cld.npz", data=cloud() if points is None else points)
    return root


def test_cameras_moments_masks_and_points(tmp_path):
    info = read_scene(rig(tmp_path), ReadOptions(eval=True))
    assert (info.reader, info.motion, info.details, info.warnings) == (
        "panoptic",
        "per_timestep",
        "3 cameras, masks",
        (),
    )
    assert [camera.image_name for camera in info.train[:3]] == ["3/000000.png", "7/000000.png", "3/000001.png"]
    assert [camera.time for camera in info.train] == [0, 0, 0.5, 0.5, 1, 1]
    assert [camera.camera_id for camera in info.train] == [3, 7] * 3 and {c.camera_id for c in info.test} == {5}
    camera = info.train[3]
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (27, 22, 11, 8.5)  # of camera 7 at moment 1
    np.testing.assert_array_equal(camera.world_to_camera, pose_of(7))
    assert camera.foreground_path == tmp_path / "seg/7/000001.png"
    assert all(camera.foreground_path is None for camera in info.test)
    np.testing.assert_allclose(info.points.foreground, cloud()[:, 6])
    np.testing.assert_allclose(info.points.colors, cloud()[:, 3:6], atol=1e-6)


def test_without_eval_all_cameras_are_trained_on(tmp_path):
    info = read_scene(rig(tmp_path))
    assert len(info.train) == 9 and info.test == ()
    (tmp_path / "test_meta.json").unlink()
    assert len(read_scene(tmp_path, ReadOptions(eval=True)).train) == 6


def test_first_moments_only(tmp_path):
    rig(tmp_path)
    info = read_scene(tmp_path, ReadOptions(eval=True, num_frames=2))
    assert sorted({camera.time for camera in info.train}) == [0, 1] and len(info.test) == 2
    info = read_scene(tmp_path, ReadOptions(num_frames=1))
    assert {camera.time for camera in info.train} == {0} and not info.is_dynamic
    with pytest.raises(DatasetError, match="num_frames is -1"):
        read_scene(tmp_path, ReadOptions(num_frames=-1))


def test_what_does_not_change_may_be_given_once(tmp_path):
    once = meta(TRAIN)
    for key in ("w2c", "k", "cam_id"):
        once[key] = once[key][0]
    info = read_scene(rig(tmp_path, once), ReadOptions(eval=True))
    camera = info.train[5]
    assert (camera.camera_id, camera.fx, camera.fy) == (7, 27, 21)
    np.testing.assert_array_equal(camera.world_to_camera, pose_of(7))


def test_cameras_in_another_order_are_sorted_with_all_that_is_theirs(tmp_path):
    turned = meta(TRAIN)
    for key in ("fn", "cam_id", "k", "w2c"):
        turned[key] = [*turned[key][:1], turned[key][1][::-1], *turned[key][2:]]
    straight = read_scene(rig(tmp_path / "a"), ReadOptions(eval=True))
    info = read_scene(rig(tmp_path / "b", turned), ReadOptions(eval=True))
    assert "cameras stand in another order at 1 moments" in info.warnings[0]
    for one, other in zip(straight.train, info.train, strict=True):
        assert (one.image_name, one.camera_id, one.fx, one.fy) == (
            other.image_name,
            other.camera_id,
            other.fx,
            other.fy,
        )
        np.testing.assert_array_equal(one.world_to_camera, other.world_to_camera)


def test_pictures_of_another_size_scale_the_intrinsics(tmp_path):
    rig(tmp_path)
    write_images(tmp_path / "ims", ["7/000001.png"], size=(2 * WIDTH, 2 * HEIGHT))
    info = read_scene(tmp_path, ReadOptions(eval=True))
    camera = info.train[3]
    assert (camera.width, camera.fx, camera.fy, camera.cx, camera.cy) == (2 * WIDTH, 54, 44, 22, 17)
    assert "1 of 6 pictures are 48x32, not 24x16; k is scaled to fit" in info.warnings[0]
    write_images(tmp_path / "ims", ["7/000001.png"], size=(HEIGHT, WIDTH))
    with pytest.raises(DatasetError, match="000001.png: is 16x24; expected 24x16 as in train_meta.json"):
        read_scene(tmp_path)


@pytest.mark.parametrize(
    ("value", "warning"), [(1, None), (255, None), (0, "all masks of the first moment are empty"), ("none", None)]
)
def test_masks_in_all_encodings(tmp_path, value, warning):
    rig(tmp_path)
    if value == "none":
        (tmp_path / "seg").rename(tmp_path / "elsewhere")
    else:
        write_masks(tmp_path, TRAIN, value)
    info = read_scene(tmp_path, ReadOptions(eval=True))
    assert [warning in note for note in info.warnings] == [True] if warning else info.warnings == ()
    assert ("no masks (mask-free)" in info.details) == (value == "none")


def test_masks_that_say_nothing_or_are_not_all_there(tmp_path):
    rig(tmp_path)
    for camera in TRAIN:
        Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(tmp_path / f"seg/{camera}/000000.png")
    assert "all masks of the first moment are all foreground" in read_scene(tmp_path).warnings[0]
    write_masks(tmp_path, TRAIN)
    (tmp_path / "seg/7/000001.png").unlink()
    assert "no mask for 7/000001.png; the others are used" in read_scene(tmp_path).warnings[0]
    for moment in range(MOMENTS):
        (tmp_path / f"seg/7/{moment:06d}.png").unlink(missing_ok=True)
    info = read_scene(tmp_path, ReadOptions(eval=True))
    assert info.warnings == () and info.details == "3 cameras, masks of 1 of 2 training cameras"


def test_a_mask_of_another_size_is_an_error(tmp_path):
    rig(tmp_path)
    Image.fromarray(np.ones((2, 2), np.uint8)).save(tmp_path / "seg/3/000000.png")
    with pytest.raises(DatasetError, match="is 2x2; expected 24x16"):
        read_scene(tmp_path)


def bytes_colours(points):
    points[:, 3:6] *= 255


def nan_row(points):
    points[4, 1] = np.nan


def behind(points):
    points[:, 2] -= 100


def aside(points):
    points[:, 1] += 100


@pytest.mark.parametrize(
    ("change", "warning", "count"),
    [
        (bytes_colours, "colours reach 2.*taken as 0..255", 50),
        (nan_row, "dropped 1 points that are not finite", 49),
        (behind, "only 0 % of the points are more than 0.2 in front of two cameras", 50),
        (aside, "only 0 % of the points are in a picture", 50),
    ],
)
def test_traps_of_the_cloud(tmp_path, change, warning, count):
    points = cloud()
    change(points)
    info = read_scene(rig(tmp_path, points=points))
    assert len(info.warnings) == 1 and len(info.points) == count
    assert re.search(warning, info.warnings[0])
    assert info.points.colors.max() <= 1 and info.points.colors.mean() > 0.3


def test_units_so_small_that_all_is_nearer_than_the_near_plane(tmp_path):
    tiny = meta(TRAIN)
    for row in tiny["w2c"][0]:
        row[2][3] = 0.04
    info = read_scene(rig(tmp_path, tiny, points=cloud() * ([0.01] * 3 + [1] * 4)))
    assert "only 0 % of the points are more than 0.2 in front of two cameras" in info.warnings[0]


def test_clouds_without_seg_or_not_at_all(tmp_path):
    info = read_scene(rig(tmp_path, points=cloud()[:, :6]))
    assert info.points.foreground is None and "has no column seg" in info.warnings[0]
    (tmp_path / "init_pt_cld.npz").unlink()
    info = read_scene(tmp_path)
    assert info.points is None and "no such file; starting at random" in info.warnings[0]
    np.savez(tmp_path / "init_pt_cld.npz", points=cloud())
    with pytest.raises(DatasetError, match="has no array data; expected"):
        read_scene(tmp_path)
    np.savez(tmp_path / "init_pt_cld.npz", data=cloud()[:, :5])
    with pytest.raises(DatasetError, match=r"data of float64 \[50, 5\]; expected"):
        read_scene(tmp_path)


def changed(**values):
    return meta(TRAIN) | values


def with_pose(matrix):
    table = meta(TRAIN)
    table["w2c"] = json.loads(json.dumps(table["w2c"]))
    table["w2c"][1][0] = matrix
    return table


def names_with(name):
    table = meta(TRAIN)
    table["fn"][1][0] = name
    return table


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([1, 2], "is no table"),
        (changed(w="wide"), "w: holds no numbers"),
        (changed(h=0), "h is 0; expected a whole number"),
        (changed(fn=["a.png"]), "fn is no list of lists"),
        (changed(fn=[["a.png"], ["a.png", "b.png"]]), "moments have 1 to 2 pictures"),
        (changed(fn=[[1, 2]]), "fn holds something else than names"),
        (names_with("../../secret.png"), r"fn leads out of ims/ \(../../secret.png\)"),
        (names_with("/etc/secret.png"), "fn leads out of ims/"),
        (names_with("3/000009.png"), r"1 of 9 pictures are missing \(3/000009.png\)"),
        (names_with("3/000000.png"), "image names occur twice: 3/000000.png"),
        (changed(cam_id=[[3, 7], [3, 7], [3, 8]]), "moment 2 names other cameras"),
        (changed(cam_id=[3, 3]), "names a camera twice"),
        (changed(cam_id=[0.5, 3]), "expected whole numbers"),
        (changed(cam_id=None), "cam_id is missing"),
        (changed(k=[[[1, 2]]]), r"k: has shape \[1, 1, 2\]; expected 2x3x3"),
        (changed(k=[matrix_of(3), matrix_of(-30)]), "k of 7/000000.png has fx -10"),
        (with_pose((2 * np.eye(4)).tolist()), "w2c of 3/000001.png: the pose is not rigid"),
        (with_pose(np.diag([1.0, 1, -1, 1]).tolist()), "det R = -1"),
        (with_pose([[float("nan")] * 4] * 4), "w2c: holds NaN"),
        (meta(TRAIN, 2), "has 3 moments, train_meta.json has 2"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, train, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read_scene(rig(tmp_path, train))
    assert "\n" not in str(caught.value)


def test_odd_intrinsics_and_cameras_in_both_files_are_said(tmp_path):
    skewed = changed(k=[[[20, 0.5, 30.0], [0, 20, 8], [0, 0, 1]], matrix_of(7)])
    notes = read_scene(rig(tmp_path, skewed, changed(fn=[[f"5/{t:06d}.png"] for t in range(3)], **once((7,))))).warnings
    assert any("k has skew" in note for note in notes)
    assert any("principal points lie outside" in note for note in notes)
    assert any("cam_id 7 also in train_meta.json" in note for note in notes)


def once(cameras):
    table = meta(cameras)
    return {key: table[key][0] for key in ("cam_id", "k", "w2c")}


def test_the_real_rig_reads_without_a_warning():
    info = read_scene(data_path("panoptic_basketball_dev"), ReadOptions(eval=True))
    assert (len(info.train), len(info.test), info.num_times, info.warnings) == (210, 30, 15, ())
    assert len(info.points) == 19000 and set(np.unique(info.points.foreground)) == {0, 1}
    assert {camera.camera_id for camera in info.test} == {0, 15} and info.details == "16 cameras, masks"
    assert all(camera.foreground_path.is_file() for camera in info.train)
