"""Nerfies, HyperNeRF and NeRF-DS."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image

from scene.datasets import ReadOptions, read_scene
from scene.datasets.undistort import undistort
from scene.scene_info import DatasetError
from tests.helpers import data_path
from tests.scene.small_scenes import HEIGHT, WIDTH, write_images, write_json

IDS = [f"{index:06d}" for index in range(10)]
CAMERA = {
    "orientation": np.eye(3).tolist(),
    "position": [0.0, 0.0, -2.0],
    "focal_length": 40.0,
    "principal_point": [23.0, 17.0],
    "skew": 0.0,
    "pixel_aspect_ratio": 1.0,
    "radial_distortion": [0.0, 0.0, 0.0],
    "tangential_distortion": [0.0, 0.0],
    "image_size": [2 * WIDTH, 2 * HEIGHT],
}


def nerfies_scene(root, sizes=("2x",), **camera):
    """Ten frames at half the size of their cameras; every fifth is in val_ids."""
    val = IDS[::5]
    train = [frame for frame in IDS if frame not in val]
    write_json(root / "dataset.json", {"count": 10, "ids": IDS, "train_ids": train, "val_ids": val})
    write_json(root / "scene.json", {"scale": 1.0, "center": [0.0, 0.0, 0.0], "near": 0.1, "far": 3.0})
    table = {frame: {"time_id": index, "warp_id": 0} for index, frame in enumerate(IDS)}
    write_json(root / "metadata.json", table)
    for frame in IDS:
        write_json(root / "camera" / f"{frame}.json", {**CAMERA, **camera})
        write_images(root / "rgb", [f"{size}/{frame}.png" for size in sizes])
    np.save(root / "points.npy", np.arange(12.0).reshape(4, 3))
    return root


def edit(root, name, change):
    """Rewrites a JSON file after `change(document)`."""
    document = json.loads((root / name).read_text())
    change(document)
    write_json(root / name, document)
    return root


def test_camera_of_the_specification(tmp_path):
    camera = read_scene(nerfies_scene(tmp_path)).train[0]
    np.testing.assert_array_equal(camera.world_to_camera[:3, 3], [0, 0, 2])
    np.testing.assert_array_equal(camera.world_to_camera[:3, :3], np.eye(3))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (20.0, 20.0, 11.5, 8.5)
    assert (camera.width, camera.height, camera.distortion) == (WIDTH, HEIGHT, ())


def test_positions_and_points_are_normalised_alike(tmp_path):
    angle = 0.3
    turn = [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    root = nerfies_scene(tmp_path, orientation=turn, position=[5.0, 2.0, 1.0])
    plain = read_scene(root)
    scaled = read_scene(edit(root, "scene.json", lambda scene: scene.update(scale=0.1, center=[1.0, 2.0, 3.0])))
    np.testing.assert_allclose(scaled.train[0].center, [0.4, 0.0, -0.2], atol=1e-12)
    assert scaled.points.positions.dtype == np.float32 and (scaled.points.colors == 0.5).all()
    for one, other in ((plain, 1.0), (scaled, 0.1)):
        camera, points = one.train[0], one.points.positions
        local = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
        expected = (np.arange(12).reshape(4, 3) - [5, 2, 1]) @ np.array(turn).T
        np.testing.assert_allclose(local / other, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("parent", "options", "train", "test", "details"),
    [
        ("vrig", {}, [1, 2, 3, 4, 6, 7, 8, 9], [0, 5], "split vrig, train_ids and val_ids; rgb/4x"),
        ("vrig-chicken", {}, [1, 2, 3, 4, 6, 7, 8, 9], [0, 5], "split vrig, train_ids and val_ids; rgb/4x"),
        ("NeRF-DS", {}, [1, 2, 3, 4, 6, 7, 8, 9], [0, 5], "split nerfds, train_ids and val_ids; rgb/1x"),
        ("interp", {}, [0, 4, 8], [2, 6], "split interp, every 4th frame; rgb/2x"),
        ("misc", {}, list(range(10)), [], "split all, no frame held out; rgb/2x"),
        ("mine", {}, [1, 2, 3, 4, 6, 7, 8, 9], [0, 5], "split train_ids and val_ids; rgb/2x"),
        ("vrig", {"nerfies_split": "interp"}, [0, 4, 8], [2, 6], "split interp, every 4th frame; rgb/2x"),
        ("mine", {"nerfies_ratio": 0.25}, [1, 2, 3, 4, 6, 7, 8, 9], [0, 5], "split train_ids and val_ids; rgb/4x"),
    ],
)
def test_split_by_the_folder_above_or_by_flag(tmp_path, parent, options, train, test, details):
    root = nerfies_scene(tmp_path / parent / "scene", sizes=("1x", "2x", "4x"))
    info = read_scene(root, ReadOptions(eval=True, **options))
    assert [int(camera.image_name[:-4]) for camera in info.train] == train
    assert [int(camera.image_name[:-4]) for camera in info.test] == test
    assert info.details == details
    assert any("--nerfies_split" in note for note in info.warnings) == (not test)
    joined = read_scene(root, ReadOptions(**options))
    assert [int(camera.image_name[:-4]) for camera in joined.train] == train + test and joined.test == ()
    assert joined.warnings == ()


def test_a_missing_size_gives_way_to_the_nearest(tmp_path):
    root = nerfies_scene(tmp_path / "vrig" / "scene", sizes=("2x", "16x"))
    info = read_scene(root)
    assert info.details.endswith("rgb/2x") and "has no 4x, using 2x" in info.warnings[0]
    with pytest.raises(DatasetError, match="nerfies_ratio is 2"):
        read_scene(root, ReadOptions(nerfies_ratio=2.0))
    shutil.rmtree(root / "rgb")
    with pytest.raises(DatasetError, match="has no folders 1x, 2x"):
        read_scene(root)


def test_time_is_the_id_by_the_largest_that_is_used(tmp_path):
    root = nerfies_scene(tmp_path)
    info = read_scene(root)
    assert {camera.image_name[:-4]: camera.time for camera in info.train} == {
        frame: index / 9 for index, frame in enumerate(IDS)
    }
    assert info.is_dynamic and info.num_times == 10
    every = read_scene(root, ReadOptions(nerfies_split="interp", eval=True))
    assert [camera.time for camera in (*every.train, *every.test)] == [0, 0.5, 1, 0.25, 0.75]  # 0 4 8 | 2 6 of 8


@pytest.mark.parametrize("key", ["warp_id", "appearance_id"])
def test_other_ids_stand_in_for_the_time(tmp_path, key):
    root = nerfies_scene(tmp_path)
    write_json(root / "metadata.json", {frame: {key: 3 * index} for index, frame in enumerate(IDS)})
    assert max(camera.time for camera in read_scene(root).train) == 1
    write_json(root / "metadata.json", {frame: {key: 0} for frame in IDS})
    assert not read_scene(root).is_dynamic


def test_lens_and_pixels(tmp_path):
    root = nerfies_scene(
        tmp_path,
        radial_distortion=[0.1, 0.2, 0.3],
        tangential_distortion=[0.01, 0.02],
        pixel_aspect_ratio=1.5,
        skew=0.5,
    )
    info = read_scene(root)
    camera = info.train[0]
    assert camera.distortion == (0.1, 0.2, 0.01, 0.02, 0.3, 0, 0, 0)
    assert (camera.fx, camera.fy) == (20.0, 30.0)
    assert "the skew of 10 cameras is ignored" in info.warnings[0]
    straight, valid = undistort(np.array(Image.open(camera.image_path)), camera)
    assert straight.shape == (HEIGHT, WIDTH, 3) and 0 < valid.mean() <= 1


def test_the_other_name_of_the_tangential_distortion(tmp_path):
    root = nerfies_scene(tmp_path)
    for frame in IDS:
        edit(root, f"camera/{frame}.json", lambda camera: camera.update(tangential=camera.pop("tangential_distortion")))
        edit(root, f"camera/{frame}.json", lambda camera: camera.update(tangential=[0.01, 0.0]))
    assert read_scene(root).train[0].distortion == (0.0, 0.0, 0.01, 0.0)


def test_frames_without_picture_are_one_note(tmp_path):
    root = nerfies_scene(tmp_path)
    (root / "rgb" / "2x" / f"{IDS[3]}.png").unlink()
    info = read_scene(root, ReadOptions(eval=True))
    assert len(info.train) == 7 and "skipped 1 of 10 frames without picture (000003)" in info.warnings[0]


def test_no_points_is_a_note(tmp_path):
    root = nerfies_scene(tmp_path)
    (root / "points.npy").unlink()
    info = read_scene(root)
    assert info.points is None and "starting at random" in info.warnings[0]


def test_list_of_test_views_wins(tmp_path):
    root = nerfies_scene(tmp_path / "scene")
    (tmp_path / "list.txt").write_text("000003\n")
    info = read_scene(root, ReadOptions(test_list=str(tmp_path / "list.txt")))
    assert [camera.image_name for camera in info.test] == ["000003.png"] and len(info.train) == 9


CAMERA_FILE = f"camera/{IDS[1]}.json"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("dataset.json", lambda d: d["val_ids"].append(IDS[1]), "000001 are in train_ids and in val_ids"),
        ("dataset.json", lambda d: d["train_ids"].append(IDS[1]), "train_ids names 1 frames twice"),
        ("dataset.json", lambda d: d["train_ids"].append("../secret"), "has no list train_ids of frame names"),
        ("dataset.json", lambda d: d["train_ids"].append(7), "has no list train_ids of frame names"),
        ("dataset.json", lambda d: d["train_ids"].append("nowhere"), "has no entry for 1 of 11 frames .nowhere."),
        ("dataset.json", lambda d: [d.pop(key) for key in list(d)], "has no list ids"),
        ("metadata.json", lambda d: d.pop(IDS[2]), "has no entry for 1 of 10 frames .000002."),
        ("metadata.json", lambda d: d.update({IDS[2]: {}}), "not all frames have a time_id or a warp_id"),
        ("metadata.json", lambda d: d[IDS[2]].update(time_id="x"), "time_id: holds no numbers"),
        ("metadata.json", lambda d: d[IDS[2]].update(time_id=math.nan), "time_id: holds NaN"),
        ("metadata.json", lambda d: d[IDS[2]].update(time_id=-4), "the smallest time_id is -4"),
        ("scene.json", lambda d: d.update(scale=0), "scale is 0; expected a positive"),
        ("scene.json", lambda d: d.pop("center"), "center is missing"),
        (CAMERA_FILE, lambda d: d.update(orientation=[[1, 0], [0, 1]]), r"orientation: has shape \[2, 2\]"),
        (CAMERA_FILE, lambda d: d.update(orientation=(2 * np.eye(3)).tolist()), "pose is not rigid"),
        (CAMERA_FILE, lambda d: d.update(position=[0, math.nan, 0]), "position: holds NaN"),
        (CAMERA_FILE, lambda d: d.update(focal_length=0), "focal length 0, .* expected positive"),
        (CAMERA_FILE, lambda d: d.pop("image_size"), "image_size is missing"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, name, change, message):
    root = edit(nerfies_scene(tmp_path), name, change)
    with pytest.raises(DatasetError, match=message) as caught:
        read_scene(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["scene.json", "metadata.json", CAMERA_FILE])
def test_missing_and_foreign_files(tmp_path, name):
    root = nerfies_scene(tmp_path)
    (root / name).write_text("[1]")
    with pytest.raises(DatasetError, match=f"{name}: holds no JSON object"):
        read_scene(root)
    (root / name).unlink()
    with pytest.raises(DatasetError, match=f"{name}: no such file"):
        read_scene(root)


def test_points_of_another_shape(tmp_path):
    root = nerfies_scene(tmp_path)
    np.save(root / "points.npy", np.zeros((4, 2)))
    with pytest.raises(DatasetError, match=r"points.npy: has shape \[4, 2\]; expected nx3"):
        read_scene(root)
    shutil.rmtree(root / "rgb" / "2x")
    (root / "rgb" / "2x").mkdir()
    with pytest.raises(DatasetError, match="none of the 10 frames has a picture"):
        read_scene(root)


def test_bedroom_points_lie_on_edges_of_the_pictures():
    """Points of the reconstruction sit on corners: pictures change most exactly where they project, undistorted."""
    info = read_scene(data_path("nerfies_bedroom"), ReadOptions(eval=True))
    assert (len(info.train), len(info.test), info.num_times) == (56, 8, 64)
    assert info.details == "split train_ids and val_ids; rgb/2x" and info.warnings == ()
    at, beside, distorted = (
        np.mean([_edge_strength(info, camera, shift, straight) for camera in info.train[::9]])
        for shift, straight in ((0, True), (3, True), (0, False))
    )
    assert at > 1.15 * beside and at > distorted > 0.5 * at


def _edge_strength(info, camera, shift_px, straight):
    """Mean gradient of the picture at the projected points, relative to the whole picture's."""
    picture = np.array(Image.open(camera.image_path).convert("RGB"))
    picture = undistort(picture, camera)[0] if straight else picture
    edges = np.hypot(*np.gradient(picture.mean(axis=2)))
    local = info.points.positions @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    x = np.floor(camera.fx * local[:, 0] / local[:, 2] + camera.cx + shift_px).astype(int)
    y = np.floor(camera.fy * local[:, 1] / local[:, 2] + camera.cy + shift_px).astype(int)
    seen = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height) & (local[:, 2] > 0)
    return edges[y[seen], x[seen]].mean() / edges.mean()
