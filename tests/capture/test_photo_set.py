"""Photos with known answers become the cameras that took them."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from arguments.convert_params import ConvertParams
from capture.photo_set import Conversion, advice, check_options, convert_photos, judge, order_models, part_names
from capture.photos import Photos, Places, find_places
from capture.results import ResultFolder
from scene.datasets import ReadOptions, read_scene
from scene.datasets.colmap_model import count_images
from tests.capture.fake_colmap import command_lines, write_program
from tests.capture.room import FOCAL, SIZE, photograph, poses, textures, write_photos
from tests.scene.small_scenes import ColmapContent, write_colmap_model, write_images
from utils.errors import UserError
from utils.files import read_json
from utils.image_io import read_image, write_png
from utils.progress import set_quiet
from utils.video import VideoWriter

COUNT, DISTORTION = 7, (-0.12, 0.03, 0.0, 0.0)


def options(folder, **more) -> ConvertParams:
    return ConvertParams(source_path=str(folder), **{"max_num_features": 700, "no_gpu": True} | more)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Photos through a distorted lens and what became of them, and the true poses."""
    pytest.importorskip("pycolmap")
    root = tmp_path_factory.mktemp("room")
    true = write_photos(root / "input", COUNT, DISTORTION)
    convert_photos(options(root, resize=()))
    return root, true


def centers_after_similarity(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Found centres [C, 3] moved, turned and scaled onto the true ones (Umeyama 1991)."""
    a, b = found - found.mean(0), true - true.mean(0)
    left, sizes, right = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.linalg.det(left @ right)])
    return (sizes * np.diag(flip)).sum() / (a**2).sum() * a @ (left @ flip @ right).T + true.mean(0)


def test_the_true_cameras_are_found(converted):
    root, true = converted
    info = read_scene(root)
    assert info.reader == "colmap" and len(info.train) == COUNT and not info.warnings
    found = np.stack([camera.center for camera in info.train])
    truth = np.stack([-pose[:3, :3].T @ pose[:3, 3] for pose in true])
    assert np.linalg.norm(centers_after_similarity(found, truth) - truth, axis=1).max() < 0.01  # of 2.6
    assert len(info.points) > 300 and info.points.colors.std() > 0.1
    for camera in info.train:
        assert camera.fx == pytest.approx(FOCAL, rel=0.02) and not camera.distortion


def test_photos_are_undistorted(converted):
    """Each is what a pinhole camera of the found size and focal length would have seen."""
    root, true = converted
    camera, walls = read_scene(root).train[3], textures()
    image = read_image(root / "images" / camera.image_name)
    expected = photograph(true[3], walls, size=(camera.width, camera.height))
    assert image.shape == expected.shape
    middle = np.s_[40:-40, 40:-40]
    straight = np.abs(cv2.blur(image, (3, 3)).astype(int) - cv2.blur(expected, (3, 3)))[middle].mean()
    bent = photograph(true[3], walls, DISTORTION, size=(camera.width, camera.height))
    assert straight < 0.7 * np.abs(cv2.blur(image, (3, 3)).astype(int) - cv2.blur(bent, (3, 3)))[middle].mean()


def test_the_record_and_the_folders_are_whole(converted):
    root, _ = converted
    record = read_json(root / "convert.json")
    assert record["complete"] and record["registered"] == record["photos"] == COUNT and record["left_out"] == []
    assert record["mean_error_px"] < 0.5 and record["matcher"] == "exhaustive" and record["tool"].startswith("pycolmap")
    assert set(record["seconds"]) == {"points in photos", "exhaustive comparison", "cameras", "undistortion",
                                      "smaller copies"}  # fmt: skip
    names = {path.name for path in root.iterdir()}
    assert names == {"input", "distorted", "images", "images_2", "images_4", "images_8", "sparse", "convert.json"}
    assert {p.name for p in (root / "distorted").iterdir()} == {"database.db", "sparse"}


def test_an_existing_data_set_is_kept_and_known_cameras_are_used_again(converted, tmp_path):
    root = tmp_path / "again"
    shutil.copytree(converted[0], root)
    with pytest.raises(UserError, match="distorted exists from an earlier run; .* --skip_matching"):
        convert_photos(options(root))
    with pytest.raises(UserError, match="images exists from an earlier run; add --overwrite"):
        convert_photos(options(root, skip_matching=True))
    before = (root / "sparse/0/cameras.bin").read_bytes()
    convert_photos(options(root, skip_matching=True, overwrite=True))
    assert (root / "sparse/0/cameras.bin").read_bytes() == before
    assert not (root / "images_2").exists() and read_json(root / "convert.json")["parts"] == [
        "distorted", "images", "sparse"]  # fmt: skip
    convert_photos(options(root, skip_matching=True, output=str(tmp_path / "elsewhere"), times=True))
    assert read_json(tmp_path / "elsewhere/times.json") == {f"{i:03d}.png": float(i) for i in range(COUNT)}
    assert read_scene(tmp_path / "elsewhere").num_times == COUNT
    (root / "input/004.png").unlink()
    with pytest.raises(UserError, match="1 photos of the model are missing .004.png"):
        convert_photos(options(root, skip_matching=True, overwrite=True))
    assert len(read_scene(root).train) == COUNT  # the data set is still the old one


@pytest.mark.parametrize("mode", ["occluder", "background"])
def test_masks_come_along(converted, tmp_path, mode):
    root, masks = converted[0], tmp_path / "masks"
    for number in range(COUNT):
        mask = np.full(SIZE[::-1], 255, np.uint8)
        mask[:, : SIZE[0] // 2] = 0
        write_png(masks / f"{number:03d}.png", mask)
    words = {"mask_folder": str(masks), "mask_mode": mode, "skip_matching": True, "output": str(tmp_path / "set")}
    convert_photos(options(root, **words))
    info = read_scene(tmp_path / "set")
    images = [read_image(camera.image_path) for camera in info.train]
    if mode == "occluder":
        inside = [read_image(camera.mask_path)[..., 0] for camera in info.train]
    else:
        inside = [image[..., 3] for image in images]
        assert not (tmp_path / "set/masks").exists()
    for picture in inside:
        assert abs((picture > 0).mean() - 0.5) < 0.02 and (picture[10:-10, -10:] == 255).all()


def test_a_program_gives_the_same_scene_as_the_package(converted, tmp_path):
    program = write_program(tmp_path / "bin/colmap", "3.13.0", works=True)
    write_photos(tmp_path / "set/input", COUNT, DISTORTION)
    convert_photos(options(tmp_path / "set", colmap_executable=str(program), no_gpu=False))
    assert [words[0] for words in command_lines(program)] == [
        "feature_extractor", "exhaustive_matcher", "mapper", "image_undistorter"]  # fmt: skip
    record = read_json(tmp_path / "set/convert.json")
    assert record["tool"] == "COLMAP 3.13, GPU" and record["registered"] == COUNT
    assert read_scene(tmp_path / "set").train[0].fx == pytest.approx(read_scene(converted[0]).train[0].fx, rel=0.01)


def test_sizes_have_lenses_of_their_own_and_masks_keep_points_away(tmp_path):
    pycolmap = pytest.importorskip("pycolmap")
    walls, right = textures(), SIZE[0] - 70
    for number, pose in enumerate(poses(8)):
        size = SIZE if number % 2 else (200, 200)
        write_png(tmp_path / "input" / f"{number}.png", photograph(pose, walls, size=size))
        mask = np.full(size[::-1], 255, np.uint8)
        mask[:, right:] = 0
        write_png(tmp_path / "masks" / f"{number}.png", mask)
    words = {"mask_folder": str(tmp_path / "masks"), "mask_mode": "cameras", "camera": "SIMPLE_RADIAL"}
    convert_photos(options(tmp_path, output=str(tmp_path / "set"), **words))
    info = read_scene(tmp_path / "set")
    assert len(info.train) == 8 and not (tmp_path / "set/masks").exists()
    assert len(read_json(tmp_path / "set/convert.json")["lenses"]) == 2
    assert all(camera.fx == pytest.approx(FOCAL, rel=0.03) for camera in info.train)
    database = pycolmap.Database.open(tmp_path / "set/distorted/database.db")
    columns = np.concatenate([database.read_keypoints(number)[:, 0] for number in range(1, 9)])
    database.close()
    assert len(columns) > 1000 and columns.max() < right + 1


@pytest.mark.slow
def test_a_video_becomes_a_data_set(tmp_path):
    pytest.importorskip("pycolmap")
    walls = textures()
    with VideoWriter(tmp_path / "clip.mp4", 10) as video:
        for index, pose in enumerate(poses(36)):
            image = photograph(pose, walls)
            video.add(image if index % 3 == 1 else cv2.blur(image, (11, 1)))
    convert_photos(ConvertParams(video=str(tmp_path / "clip.mp4"), output=str(tmp_path / "set"), num_frames=12))
    record = read_json(tmp_path / "set/convert.json")
    assert record["matcher"] == "sequential" and record["registered"] == 12
    names = sorted(path.stem for path in (tmp_path / "set/input").iterdir())
    assert all(int(name) % 3 == 1 for name in names)
    assert len(read_scene(tmp_path / "set", ReadOptions(times_from_names=True)).train) == 12
    with pytest.raises(UserError, match="input exists from an earlier run"):
        convert_photos(ConvertParams(video=str(tmp_path / "clip.mp4"), output=str(tmp_path / "set")))


def test_photos_of_nothing_leave_no_data_set(tmp_path):
    pytest.importorskip("pycolmap")
    for number in range(3):
        write_png(tmp_path / "input" / f"{number}.png", np.full((60, 80, 3), 40 * number, np.uint8))
    with pytest.raises(UserError, match="no cameras were found; try --camera SIMPLE_RADIAL"):
        convert_photos(options(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"camera": "OPENVC"}, "did you mean OPENCV"),
        ({"resize": (640, 360)}, "expected no numbers for photos"),
        ({"max_num_features": 3}, "100 or more"),
    ],
)
def test_senseless_options_are_refused(changes, expected):
    with pytest.raises(UserError, match=expected):
        check_options(ConvertParams(**changes))


def test_what_is_missing_is_found_before_the_work(tmp_path):
    write_images(tmp_path / "input", ["1.png", "2.png"])
    with pytest.raises(UserError, match="needs .*distorted/sparse/0 with a COLMAP model"):
        convert_photos(options(tmp_path, skip_matching=True))
    with pytest.raises(UserError, match="2 photos; expected 3 or more"):
        convert_photos(options(tmp_path))
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(UserError, match="a video makes new ones"):
        convert_photos(options(tmp_path, skip_matching=True, video=str(tmp_path / "clip.mp4")))


def run_of(tmp_path, **changes) -> Conversion:
    write_images(tmp_path / "input", ["x.png"])
    asked = options(tmp_path, **changes)
    return Conversion(asked, find_places(asked), ResultFolder(tmp_path, False))


def test_the_largest_model_is_chosen_and_few_photos_get_advice(tmp_path, capsys):
    set_quiet(False)
    names = [f"{index:03d}.png" for index in range(10)]
    for number, count in enumerate((2, 6)):
        write_colmap_model(tmp_path / "found" / str(number), ColmapContent(names=tuple(names[:count])), True)
    (tmp_path / "found/empty").mkdir()
    assert order_models(tmp_path / "found", tmp_path / "distorted/sparse") == 2
    assert [count_images(tmp_path / "distorted/sparse" / name) for name in ("0", "1")] == [6, 2]
    run = run_of(tmp_path)
    run.facts["matcher"] = "sequential"
    model = judge(run, Photos(tmp_path / "input", dict.fromkeys(names, SIZE)))
    out, err = capsys.readouterr()
    assert model == tmp_path / "distorted/sparse/0" and run.facts["registered"] == 6
    assert "6 of 10 photos registered, 6 points, mean reprojection error 0.50 px" in out
    assert "4 photos have no camera (006.png, 007.png, 008.png, 009.png); try --matcher exhaustive" in err


def test_advice_fits_what_was_tried(tmp_path):
    run = run_of(tmp_path, camera="SIMPLE_RADIAL")
    assert "SIMPLE_RADIAL" not in advice(run) and "--matcher" not in advice(run)
    run.places = Places(tmp_path, tmp_path, tmp_path, tmp_path / "a.mp4")
    run.facts["photos"] = 60
    assert "--num_frames 120" in advice(run)


def test_the_part_by_which_a_data_set_is_known_comes_last():
    parts = part_names(ConvertParams(resize=(), mask_folder="m", times=True))
    assert parts[-1] == "sparse" and set(parts) > {"images", "images_8", "masks", "times.json"}
    assert part_names(ConvertParams()) == ["images", "sparse"]
