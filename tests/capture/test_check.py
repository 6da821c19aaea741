"""Any folder is explained: what each reader sees, what is wrong, what to do."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from capture.check import explain, held_out, problems, seen_share, view_angles_deg
from scene.datasets import read_scene
from tests.capture.rigs import ring
from tests.helpers import data_path
from tests.scene.small_scenes import ColmapContent, colmap_scene, write_colmap_model, write_images
from utils.errors import UserError
from utils.image_io import read_image
from utils.progress import set_quiet


@pytest.fixture
def explained(tmp_path, capsys):
    """Runs a check; returns (all that was said, error or "")."""

    def run(folder):
        set_quiet(False)
        try:
            explain(folder, tmp_path / "pictures")
            error = ""
        except UserError as raised:
            error = str(raised)
        return "".join(capsys.readouterr()), error

    return run


def looking(count: int = 30) -> ColmapContent:
    return ColmapContent(names=tuple(f"{index:03d}.png" for index in range(count)), num_points=200)


def test_a_good_folder_is_described_and_drawn(tmp_path, explained):
    text, error = explained(colmap_scene(tmp_path / "set", looking()))
    assert not error
    for part in (
        "colmap       is its format",
        "blender      no transforms_train.json",
        "images: 30; 30 of 24x16 px",
        "held out with --eval: 4 images",
        "points: 200",
        "no distortion",
        "next: python train.py",
    ):
        assert part in text
    for side in ("top", "side"):
        assert read_image(tmp_path / f"pictures/set_{side}.png").std() > 1
    assert not (tmp_path / "set/output").exists()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["input/1.png"], "find them: python convert.py -s {folder}"),
        (["1.png"], "python convert.py -s {folder} -o NEW_FOLDER"),
        (["images/1.png"], "photos without cameras in {folder}/images"),
        (["clip.mp4"], "python convert.py --video {folder}/clip.mp4"),
        (["a.mp4", "b.mov"], "2 videos; .* --mode rig"),
        (["images.bin"], "a COLMAP model itself"),
        (["scene/transforms.json"], "{folder}/scene is a data set; give that folder"),
        (["data.zip"], "data.zip: unpack it first"),
        ([], "photos go into input/"),
    ],
)
def test_what_nobody_knows_gets_a_hint(tmp_path, explained, files, expected):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in files:
        (folder / name).parent.mkdir(exist_ok=True)
        write_images(folder, [name]) if name.endswith("png") else (folder / name).touch()
    text, error = explained(folder)
    assert "no reader knows it" in error and "colmap       no folder sparse/" in text
    assert re.search(expected.format(folder=re.escape(str(folder))), text), text


def test_a_distorted_model_beside_photos_is_seen(tmp_path, explained):
    write_images(tmp_path / "set/input", ["000.png"])
    write_colmap_model(tmp_path / "set/distorted/sparse/0", ColmapContent(), True)
    assert f"python convert.py -s {tmp_path / 'set'} --skip_matching" in explained(tmp_path / "set")[0]


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        (lambda name: f"images_4/{name}", "all 10 images are in images_4/; add -i images_4"),
        (lambda name: f"images/{name.replace('.png', '.jpg')}", "has 000.jpg, the model has 000.png: only the ending"),
        (lambda name: f"images/{name.replace('.png', '.PNG')}", "only the case differs"),
        (lambda name: f"images/left/{name}", "has left/000.png, the model has 000.png: only the folder"),
    ],
)  # fmt: skip
def test_images_under_other_names_are_found(tmp_path, explained, moved, expected):
    root = colmap_scene(tmp_path / "set")
    for path in sorted((root / "images").iterdir()):
        target = root / moved(path.name)
        target.parent.mkdir(exist_ok=True)
        path.rename(target)
    text, error = explained(root)
    assert "images of the COLMAP model are missing" in error
    assert expected in text


def test_several_models_and_unknown_lenses_are_said(tmp_path, explained):
    root = colmap_scene(tmp_path / "set", looking())
    write_colmap_model(root / "sparse/1", ColmapContent(), True)
    assert "has several models: sparse/0 (30 images), sparse/1 (10 images)" in explained(root)[0]
    fov = ("FOV", 24, 16, (20.0, 21.0, 11.0, 8.5, 0.5))
    text, error = explained(colmap_scene(tmp_path / "fov", replace(looking(), camera=fov)))
    assert "sparse/0: 30 images, FOV" in text and "FOV cannot be used" in error


def test_cameras_in_one_place_are_said(tmp_path, explained):
    class Turning(ColmapContent):
        def pose(self, name):
            return super().pose(name)[0], np.zeros(3)

    text, error = explained(colmap_scene(tmp_path / "set", Turning(names=looking().names, num_points=50)))
    assert not error and "all cameras stand in one place" in text and "only 50 points" in text


def test_a_camera_that_looks_away_sees_nothing():
    cameras = ring(8)
    points = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32) * 0.2
    info = type("Cloud", (), {"positions": points, "__len__": lambda self: len(points)})()
    assert seen_share(cameras, info) > 0.9
    turned = [replace(c, world_to_camera=np.diag([1.0, -1, -1, 1]) @ c.world_to_camera) for c in cameras]
    assert seen_share(turned, info) == 0


def test_odd_lenses_are_said(tmp_path):
    info = read_scene(
        colmap_scene(tmp_path / "set", replace(looking(), camera=("PINHOLE", 24, 16, (2.0, 2.0, 30.0, 8.0))))
    )
    said = " ".join(problems(info))
    assert "lenses see less than 5 or more than 150" in said and "lies outside 30 images" in said
    camera = replace(info.train[0], fx=12.0, cx=12.0, width=24, fy=8.0, cy=8.0, height=16)
    assert view_angles_deg(camera) == pytest.approx((90, 90))
    assert held_out(info) == "4 images"


def test_no_folder_is_one_line(tmp_path, explained):
    assert "no such folder" in explained(tmp_path / "absent")[1]


def test_real_data_are_explained(explained):
    text, error = explained(data_path("colmap_fox"))
    assert not error and "images: 50; 50 of 530x947 px" in text and "warning" not in text
