import json
import struct

import numpy as np
import torch
from PIL import Image

from utils.transforms import quaternion_to_matrix


def read_cameras(path):
    _, _, model, width, height, *parameters = struct.unpack("<QiiQQ4d", path.read_bytes())
    return model, width, height, parameters


def read_images(path):
    """COLMAP images.bin, parsed by its documentation: name -> (w2c, id, observations)."""
    data, offset, images = path.read_bytes(), 8, {}
    for _ in range(struct.unpack_from("<Q", data)[0]):
        index, *pose, _camera = struct.unpack_from("<i7di", data, offset)
        offset += 64
        end = data.index(b"\0", offset)
        name, offset = data[offset:end].decode(), end + 1
        count = struct.unpack_from("<Q", data, offset)[0]
        rows = np.frombuffer(data, np.dtype([("xy", "<f8", 2), ("point", "<i8")]), count, offset + 8)
        offset += 8 + 24 * count
        matrix = np.eye(4)
        matrix[:3, :3] = quaternion_to_matrix(torch.tensor(pose[:4], dtype=torch.float64))
        matrix[:3, 3] = pose[4:]
        images[name] = matrix, index, rows
    assert offset == len(data)
    return images


def read_points(path):
    data, offset, points = path.read_bytes(), 8, {}
    for _ in range(struct.unpack_from("<Q", data)[0]):
        index, *values = struct.unpack_from("<Q3d3Bd", data, offset)
        length = struct.unpack_from("<Q", data, offset + 43)[0]
        points[index] = values, np.frombuffer(data, "<i4", 2 * length, offset + 51).reshape(-1, 2)
        offset += 51 + 8 * length
    assert offset == len(data)
    return points


def test_colmap_points_reproject_on_their_surface(scenes):
    root = scenes["static"]
    model, width, height, (fx, fy, cx, cy) = read_cameras(root / "sparse/0/cameras.bin")
    assert (model, width, height, cx, cy) == (1, 64, 48, 32, 24) and fx == fy
    images, points = read_images(root / "sparse/0/images.bin"), read_points(root / "sparse/0/points3D.bin")
    assert len(images) == 6 and len(points) > 300
    by_id = {index: (matrix, rows) for matrix, index, rows in images.values()}
    for values, track in points.values():
        assert len(track) >= 2 and len(set(track[:, 0])) == len(track)
        for image_id, slot in track:
            matrix, rows = by_id[image_id]
            x, y, z = matrix[:3, :3] @ values[:3] + matrix[:3, 3]
            assert np.hypot(*(np.array([fx * x / z + cx, fy * y / z + cy]) - rows["xy"][slot])) < 3
    agree = []
    for name, (matrix, _, rows) in images.items():
        depth = np.load(root / "depth_gt" / name.replace(".png", ".npy"))
        for row in rows:
            z = (matrix[:3, :3] @ points[row["point"]][0][:3] + matrix[:3, 3])[2]
            x, y = np.clip(row["xy"].astype(int), 0, [width - 1, height - 1])
            patch = depth[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            agree.append(patch.min() * 0.98 < z < patch.max() * 1.02)
    assert np.mean(agree) > 0.98


def test_labels_have_names_and_fit_the_pictures(scenes):
    root = scenes["static"]
    names = json.loads((root / "labels/classes.json").read_text())
    assert names["0"] == "background" and "mushroom" in names.values()
    for picture in (root / "images").iterdir():
        labels = np.asarray(Image.open(root / "labels" / picture.name))
        assert labels.shape == Image.open(picture).size[::-1] and labels.dtype == np.uint8
        assert {str(label) for label in np.unique(labels)} <= set(names)
        mask = np.asarray(Image.open(root / "object_masks" / picture.name))
        np.testing.assert_array_equal(mask == 255, labels > 1)


def project_gl(frame, angle, point, size):
    """Project a world point with the NeRF convention: camera looks along -z, y up."""
    camera = np.linalg.inv(np.array(frame["transform_matrix"])) @ np.append(point, 1)
    focal = size[0] / (2 * np.tan(angle / 2))
    return np.array([focal * camera[0] / -camera[2] + size[0] / 2, focal * -camera[1] / -camera[2] + size[1] / 2])


def test_dnerf_axes_times_and_tracks_agree(scenes):
    root = scenes["dynamic"]
    meta = json.loads((root / "transforms_train.json").read_text())
    tracks = dict(np.load(root / "tracks_gt.npz"))
    assert [frame["time"] for frame in meta["frames"]] == np.linspace(0, 1, 6).tolist() == tracks["times"].tolist()
    moved = np.abs(tracks["points"][0] - tracks["points"][2]).max(axis=1) > 0.05
    assert moved.any() and set(tracks["labels"][moved]) <= {4, 5, 6} and not moved[tracks["labels"] < 4].any()
    hits = []
    for step, frame in enumerate(meta["frames"]):
        picture = Image.open(root / f"{frame['file_path']}.png")
        assert picture.mode == "RGBA"
        labels = np.asarray(Image.open(root / "labels" / f"train_{step:03d}.png"))
        for index in np.flatnonzero(tracks["visible"][step]):
            pixel = project_gl(frame, meta["camera_angle_x"], tracks["points"][step, index], picture.size)
            np.testing.assert_allclose(pixel, tracks["pixels"][step, index], atol=1e-3)
            hits.append(labels[int(pixel[1]), int(pixel[0])] == tracks["labels"][index])
    assert len(hits) > 300 and np.mean(hits) > 0.93  # a pixel on a border may show its neighbour


def test_blender_scene_is_static_and_split(scenes):
    root = scenes["static_blender"]
    train, test = (json.loads((root / f"transforms_{split}.json").read_text()) for split in ("train", "test"))
    assert len(train["frames"]) == 6 and len(test["frames"]) == 1 and "time" not in train["frames"][0]
    alpha = np.asarray(Image.open(root / "train/train_000.png"))[..., 3]
    assert alpha.min() == 0 and alpha.max() == 255
    assert not (root / "tracks_gt.npz").exists()


def test_rig_layout_and_cloud(scenes):
    root = scenes["rig"]
    train, test = (json.loads((root / f"{split}_meta.json").read_text()) for split in ("train", "test"))
    assert train["cam_id"] == [[0, 1, 3]] * 2 and test["cam_id"] == [[2]] * 2 and (train["w"], train["h"]) == (64, 48)
    cloud = np.load(root / "init_pt_cld.npz")["data"]
    assert cloud.shape[1] == 7 and cloud[:, 3:6].min() >= 0 and cloud[:, 3:6].max() <= 1
    assert set(np.unique(cloud[:, 6])) == {0, 1}
    assert cloud[cloud[:, 6] == 1, 1].max() < 0.01  # y down: what moves is above the floor
    k, w2c = np.array(train["k"][0][0]), np.array(train["w2c"][0][0])
    seg = np.asarray(Image.open(root / "seg" / train["fn"][0][0].replace(".jpg", ".png")))
    depth = np.load(root / "depth_gt/0__000000.npy")
    assert seg.max() == 1 and Image.open(root / "ims" / train["fn"][0][0]).size == (64, 48)
    camera = cloud[:, :3] @ w2c[:3, :3].T + w2c[:3, 3]
    pixel = camera @ k.T
    x, y = (pixel[:, :2] / pixel[:, 2:]).astype(int).T
    inside = (camera[:, 2] > 0) & (x >= 0) & (y >= 0) & (x < 64) & (y < 48)
    front = inside.copy()
    front[inside] = np.abs(depth[y[inside], x[inside]] - camera[inside, 2]) < 0.02
    assert front.sum() > 500 and np.mean(seg[y[front], x[front]] == cloud[front, 6]) > 0.97


def test_rig_tracks_have_one_flag_per_camera(scenes):
    tracks = np.load(scenes["rig"] / "tracks_gt.npz")
    steps, count = tracks["points"].shape[:2]
    assert tracks["visible"].shape == (steps, 4, count) and tracks["pixels"].shape == (steps, 4, count, 2)
    assert tracks["points"][..., 1].max() < 0.01 and tracks["visible"].any(axis=1).mean() > 0.7
