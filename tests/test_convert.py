"""convert.py from recordings to a readable data set, and clips of Dynamic 3D Gaussians in and out."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from arguments import ModelParams, load_config
from convert import main
from examples.make_scene import SceneOptions, make
from gaussian_renderer.trained import open_trained
from scene.datasets import ReadOptions, read_scene
from tests.blob_rig import write_blob_rig
from tests.capture.rigs import HEIGHT, WIDTH, ball_views, ring
from tests.clips import assert_same, published
from tests.helpers import assert_one_line_error, run_script
from utils.image_io import read_image, write_png
from utils.video import VideoWriter


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Pictures of a ball that moves in front of six known cameras, and their calibration."""
    root = tmp_path_factory.mktemp("recorded")
    cameras, noise = ring(6), np.random.default_rng(0).integers(0, 40, (HEIGHT // 4, WIDTH // 4, 3)).astype(np.uint8)
    floor = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    for moment in range(4):
        for view in ball_views(cameras, np.array([0.5 - 0.35 * moment, -0.4, 0.0]), 0.25):
            write_png(root / "videos" / view.camera.image_name / f"{moment}.png", view.image // 2 + floor)
    frames = [{"file_path": c.image_name, "transform_matrix": (np.linalg.inv(c.world_to_camera)
               @ np.diag([1.0, -1, -1, 1])).tolist()} for c in cameras]  # fmt: skip
    (root / "transforms.json").write_text(json.dumps({"w": WIDTH, "h": HEIGHT, "fl_x": 80.0, "frames": frames}))
    return root


def words(root, out, *more):
    return ["--mode", "rig", "-s", f"{root / 'videos'}", "-o", f"{out}", "--calibration", f"{root / 'transforms.json'}",
            "--quiet", *more]  # fmt: skip


def test_known_cameras_become_a_data_set_that_can_be_read(recorded, tmp_path):
    main(words(recorded, tmp_path / "set"))
    info = read_scene(tmp_path / "set", ReadOptions(eval=True))
    assert info.reader == "panoptic" and info.num_times == 4
    assert len(info.train) == 5 * 4 and {camera.camera_id for camera in info.test} == {3}
    by_id = {camera.camera_id: camera for camera in info.train}
    np.testing.assert_allclose(by_id[4].world_to_camera, ring(6)[4].world_to_camera, atol=1e-6)
    moving = info.points.positions[info.points.foreground > 0.5]
    assert len(moving) > 300
    assert np.linalg.norm(np.median(moving, axis=0) - (0.5, -0.4, 0)) < 0.1
    values = np.unique(read_image(tmp_path / "set/seg/0/000000.png"))
    assert values.tolist() == [0, 1]
    assert json.loads((tmp_path / "set/capture.json").read_text())["complete"]


def test_nothing_is_overwritten_without_being_asked(recorded, tmp_path):
    main(words(recorded, tmp_path / "set", "--num_frames", "2", "--masks", "none"))
    assert not (tmp_path / "set/seg").exists()
    with pytest.raises(ValueError, match="--overwrite"):
        main(words(recorded, tmp_path / "set"))
    main(words(recorded, tmp_path / "set", "--resize", "48", "32", "--num_frames", "2", "--overwrite"))
    assert json.loads((tmp_path / "set/train_meta.json").read_text())["w"] == 48


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "nothing to convert to; expected photos; add -s FOLDER"),
        (["--mode", "rig", "-o", "x", "-s", "y", "--resize"], "16 px"),
        (["--mode", "import_d3dg", "-s", "params.npz"], "-o FOLDER"),
        (["--mode", "export_d3dg", "-m", "run", "-o", "folder"], "-o params.npz"),
        (["--mode", "rig", "-o", "x"], "--source_path or --panoptic"),
        (["--mode", "rig", "-o", "x", "-s", "y", "--masks", "folder"], "--mask_folder"),
        (["--mode", "rig", "-o", "x", "-s", "y", "--resize", "4", "4"], "16 px"),
    ],
)
def test_senseless_options_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        main(options)


def test_photos_are_what_is_converted_by_default(tmp_path):
    with pytest.raises(ValueError, match="no photos in it and no folder input/"):
        main(["-s", str(tmp_path)])
    result = run_script("convert.py", "--check", tmp_path, "-o", tmp_path / "pictures")
    assert_one_line_error(result, "no reader knows it")
    assert "hint: photos go into input/" in result.stdout


def test_a_missing_folder_is_one_clean_line(tmp_path):
    result = run_script("convert.py", "--mode", "rig", "-s", tmp_path / "absent", "-o", tmp_path / "set")
    assert_one_line_error(result, "no such folder", "check -s")
    assert not (tmp_path / "set").exists()


def import_words(source, out, *more):
    return ["--mode", "import_d3dg", "-s", f"{source}", "-o", f"{out}", "--quiet", *map(str, more)]


def test_a_clip_goes_in_and_out_with_every_bit(tmp_path):
    np.savez(tmp_path / "params.npz", **published())
    main(import_words(tmp_path / "params.npz", tmp_path / "run"))
    main(["--mode", "export_d3dg", "-m", f"{tmp_path / 'run'}", "-o", f"{tmp_path / 'again.npz'}", "--quiet"])
    assert_same(tmp_path / "again.npz", published())


def test_an_imported_clip_has_the_cameras_and_moments_of_its_data_set(tmp_path):
    write_blob_rig(tmp_path / "rig", moments=4, cameras=3)
    np.savez(tmp_path / "params.npz", **published(num_times=3))
    main(import_words(tmp_path / "params.npz", tmp_path / "run", "--data", tmp_path / "rig"))
    trained = open_trained(load_config(tmp_path / "run", ModelParams))
    assert len(trained.scene.train) == 2 * 3 and len(trained.scene.test) == 3  # three of the four moments
    assert len(json.loads((tmp_path / "run/cameras.json").read_text())) == 9
    for step, time in enumerate((0.0, 0.5, 1.0)):
        now = trained.model.at(time)
        np.testing.assert_array_equal(now.means, published(num_times=3)["means3D"][step])
        np.testing.assert_array_equal(now.colors, published(num_times=3)["rgb_colors"][step])
    np.savez(tmp_path / "long.npz", **published(num_times=9))
    with pytest.raises(ValueError, match="4 moments; expected 9"):
        main(import_words(tmp_path / "long.npz", tmp_path / "other", "--data", tmp_path / "rig"))
    assert not (tmp_path / "other").exists()


def test_an_earlier_model_is_kept(tmp_path):
    np.savez(tmp_path / "params.npz", **published(num_times=3))
    for _ in range(2):
        main(import_words(tmp_path / "params.npz", tmp_path / "run"))
    assert (tmp_path / "run/earlier_runs/1/point_cloud/iteration_1/point_cloud.ply").is_file()


@pytest.mark.slow
def test_videos_without_calibration_become_the_true_cameras(tmp_path):
    pytest.importorskip("pycolmap")
    make(SceneOptions("rig", tmp_path / "rig", (384, 216), cameras=12, frames=8, samples=2))
    for camera in range(12):
        with VideoWriter(tmp_path / "videos" / f"cam_{camera:02d}.mp4") as video:
            for moment in range(8):
                video.add(read_image(tmp_path / f"rig/ims/{camera}/{moment:06d}.jpg"))
    main(["--mode", "rig", "-s", str(tmp_path / "videos"), "-o", str(tmp_path / "set")])
    found, true = (read_scene(tmp_path / name, ReadOptions(num_frames=1)) for name in ("set", "rig"))
    pairs = [{c.camera_id: c.center for c in info.train} for info in (found, true)]
    a, b = (np.stack([centers[index] for index in range(12)]) for centers in pairs)
    a, b = a - a.mean(0), b - b.mean(0)
    left, sizes, right = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.linalg.det(left @ right)])
    fitted = (sizes * np.diag(flip)).sum() / (a**2).sum() * a @ (left @ flip @ right).T
    assert np.linalg.norm(fitted - b, axis=1).max() < 0.06  # of 3.1
    assert len(found.points) > 5000 and (found.points.foreground > 0.5).sum() > 1000
