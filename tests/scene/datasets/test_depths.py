"""scene/datasets/depths.py"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from scene.datasets import ReadOptions, read_scene
from scene.datasets.depths import Alignment, read_alignments, with_aligned_depths, with_rendered_depths
from scene.scene_info import CameraInfo, DatasetError
from tests.scene.small_scenes import HEIGHT, WIDTH, ColmapContent, colmap_scene, write_json
from utils.errors import UserError


def camera(name: str) -> CameraInfo:
    return CameraInfo(name, name, np.eye(4), 10.0, 10.0, 6.0, 4.0, 12, 8)


def maps(folder, names) -> None:
    for name in names:
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((HEIGHT, WIDTH), 32768, np.uint16)).save(path)


def test_scales_far_from_the_median_are_not_relied_on(tmp_path):
    """0.2 and 5 times the median of the positive ones."""
    scales = {"a": 1.0, "b": 1.0, "c": 1.0, "low": 0.19, "edge": 0.2, "high": 5.1, "none": 0.0, "turned": -1.0}
    maps(tmp_path, scales)
    cameras = [camera(f"{name}.jpg") for name in scales]
    known, notes = with_aligned_depths(cameras, tmp_path, {name: Alignment(s, 0.1) for name, s in scales.items()})
    assert [info.image_name[:-4] for info in known if info.depth] == ["a", "b", "c", "edge"]
    assert len(notes) == 1 and "4 depth maps fit their points badly" in notes[0]
    assert (known[0].depth.scale, known[0].depth.offset, known[0].depth.divisor) == (1.0, 0.1, 65536.0)


def test_an_image_without_an_entry_is_not_relied_on_and_said_once(tmp_path):
    maps(tmp_path, ["a", "b", "c"])
    cameras = [camera(f"{name}.jpg") for name in "abc"]
    known, notes = with_aligned_depths(cameras, tmp_path, {"b": Alignment(2.0, 0.0)})
    assert [info.depth is not None for info in known] == [False, True, False]
    assert notes == ["depth_params.json lacks 2 images (a.jpg, c.jpg); their depth maps are not used"]


def test_if_no_map_fits_none_is_used(tmp_path):
    maps(tmp_path, ["a"])
    known, _ = with_aligned_depths([camera("a.jpg")], tmp_path, {"a": Alignment(0.0, 0.0)})
    assert known[0].depth is None


def test_missing_maps_are_said_and_no_map_at_all_is_refused(tmp_path):
    maps(tmp_path / "depths", ["sub/a"])
    cameras = [camera("sub/a.jpg"), camera("b.jpg")]
    known, notes = with_aligned_depths(cameras, tmp_path / "depths", {"sub/a": Alignment(1, 0), "b": Alignment(1, 0)})
    assert known[0].depth is not None and known[1].depth is None
    assert "lacks the maps of 1 of 2 images (b.jpg)" in notes[0]
    with pytest.raises(DatasetError, match="no map of any image; expected e.g. c.png"):
        with_aligned_depths([camera("c.jpg")], tmp_path / "depths", {})
    with pytest.raises(DatasetError, match="no such folder.*--depths"):
        with_aligned_depths(cameras, tmp_path / "nowhere", {})


def test_a_rendered_map_without_a_folder_belongs_to_the_first_of_two_names(tmp_path):
    maps(tmp_path, ["r_0", "test/r_1"])
    parts = [[camera("train/r_0.png"), camera("train/r_1.png")], [camera("test/r_0.png"), camera("test/r_1.png")]]
    (train, test), _ = with_rendered_depths(parts, tmp_path)
    assert [info.depth is not None for info in (*train, *test)] == [True, False, False, True]
    assert (train[0].depth.divisor, train[0].depth.scale) == (512.0, 1.0)


def test_a_colmap_scene_with_depths(tmp_path):
    content = ColmapContent(names=("a.png", "b.png"))
    root = colmap_scene(tmp_path, content)
    maps(root / "depths", ["a", "b"])
    with pytest.raises(DatasetError, match="depth_params.json: no such file.*make_depth_scale"):
        read_scene(root, ReadOptions(depths="depths"))
    write_json(root / "sparse/0/depth_params.json", {"a": {"scale": 2.0, "offset": 0.5}})
    info = read_scene(root, ReadOptions(depths="depths"))
    assert [bool(item.depth) for item in info.train] == [True, False]
    assert any("lacks 1 images" in note for note in info.warnings)
    assert all(item.depth is None for item in read_scene(root).train)


def test_a_format_that_knows_no_depths_says_so(tmp_path):
    root = colmap_scene(tmp_path)
    shutil.rmtree(root / "sparse")
    frame = {"file_path": "images/000.png", "transform_matrix": np.eye(4).tolist(), "fl_x": 20.0}
    write_json(root / "transforms.json", {"frames": [frame]})
    with pytest.raises(DatasetError, match="--depths is not known for transforms; expected colmap, blender"):
        read_scene(root, ReadOptions(depths="depths"))


@pytest.mark.parametrize(
    "content", ["[]", '{"a": 1}', '{"a": {"scale": 1}}', '{"a": {"scale": "x", "offset": 0}}', "{"]
)
def test_a_broken_file_of_alignments_is_one_line(tmp_path, content):
    path = tmp_path / "depth_params.json"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_alignments(path)
    assert "depth_params.json" in str(caught.value) and "\n" not in str(caught.value)
