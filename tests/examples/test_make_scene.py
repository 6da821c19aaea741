import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples.make_scene import SceneOptions, check, make, record
from scene.datasets import ReadOptions, read_scene


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_equal_seeds_give_equal_files(tmp_path):
    for name in ("a", "b"):
        make(SceneOptions("static", tmp_path / name, (32, 24), views=3, samples=1, seed=5))
    first = digest(tmp_path / "a")
    assert first == digest(tmp_path / "b") and "sparse/0/points3D.bin" in first


def test_a_finished_scene_is_kept_and_another_needs_overwrite(tmp_path):
    options = SceneOptions("static", tmp_path / "scene", (32, 24), views=2, samples=1)
    make(options)
    picture = tmp_path / "scene/images/view_000.png"
    before = picture.stat().st_mtime_ns
    make(options)
    assert picture.stat().st_mtime_ns == before
    other = SceneOptions("static", tmp_path / "scene", (32, 24), views=3, samples=1)
    with pytest.raises(ValueError, match="--overwrite"):
        make(other)
    make(SceneOptions("static", tmp_path / "scene", (32, 24), views=3, samples=1, overwrite=True))
    assert len(list((tmp_path / "scene/images").iterdir())) == 3


def test_folders_of_others_are_never_emptied(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/mine.png").write_bytes(b"precious")
    with pytest.raises(ValueError, match="other files"):
        make(SceneOptions("static", tmp_path, (32, 24), views=2, overwrite=True))
    assert (tmp_path / "images/mine.png").read_bytes() == b"precious"


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (8, 100)},
        {"views": 1},
        {"samples": 0},
        {"kind": "rig", "cameras": 2},
        {"kind": "rig", "frames": 1},
        {"kind": "rig", "newcomer": 2},
        {"kind": "rig", "newcomer": 12, "world": "tumble"},
        {"kind": "rig", "videos": True, "size": (33, 24)},
    ],
)
def test_senseless_options_are_refused_in_one_line(tmp_path, wrong):
    with pytest.raises(ValueError) as error:
        check(SceneOptions(**({"kind": "static", "out": tmp_path} | wrong)))
    assert "expected" in str(error.value) and "\n" not in str(error.value)


def test_the_marker_of_older_scenes_still_fits(tmp_path):
    content = record(SceneOptions("rig", tmp_path), complete=True)
    assert not {"world", "newcomer", "videos"} & set(content)
    content = record(SceneOptions("rig", tmp_path, world="tumble", newcomer=3), complete=True)
    assert (content["world"], content["newcomer"]) == ("tumble", 3)


def test_a_tumbling_rig_can_be_read_and_has_exact_tracks_and_videos(tmp_path):
    root = tmp_path / "rig"
    make(SceneOptions("rig", root, (48, 32), cameras=5, frames=4, samples=1, world="tumble", newcomer=2, videos=True))
    info = read_scene(root, ReadOptions(eval=True))
    assert (info.reader, info.num_times, len(info.train), len(info.test)) == ("panoptic", 4, 16, 4)
    assert info.details == "5 cameras, masks" and not info.warnings
    tracks = np.load(root / "tracks_gt.npz")
    drum = tracks["labels"] == 9
    assert drum.any() and not tracks["visible"][:2, :, drum].any() and tracks["visible"][2:, :, drum].any()
    arrived = tracks["points"][2:, drum]
    assert (arrived[..., 1] < 0.01).all() and np.abs(arrived).max() < 1.5, "y down, on the stage"
    assert {4, 5, 6, 7, 8} <= set(tracks["labels"])
    assert set(np.unique(info.points.foreground)) == {0, 1}
    assert len(list((root / "videos").iterdir())) == 5
    shown = np.isin(np.asarray(Image.open(root / "labels/0__000003.png")), (4, 5, 6, 7, 8, 9))
    np.testing.assert_array_equal(np.asarray(Image.open(root / "seg/0/000003.png")), shown)
