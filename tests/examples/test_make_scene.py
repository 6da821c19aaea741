import hashlib
from pathlib import Path

import pytest

from examples.make_scene import SceneOptions, check, make


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
    [{"size": (8, 100)}, {"views": 1}, {"samples": 0}, {"kind": "rig", "cameras": 2}, {"kind": "rig", "frames": 1}],
)
def test_senseless_options_are_refused_in_one_line(tmp_path, wrong):
    with pytest.raises(ValueError) as error:
        check(SceneOptions(**({"kind": "static", "out": tmp_path} | wrong)))
    assert "expected" in str(error.value) and "\n" not in str(error.value)
