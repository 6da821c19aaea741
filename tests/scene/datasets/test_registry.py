"""Finding the reader of a folder."""

from __future__ import annotations

import pytest

from scene.datasets import read_scene
from scene.scene_info import DatasetError
from tests.scene.small_scenes import blender_scene, colmap_scene, transforms_scene


def test_colmap_comes_before_blender_before_transforms(tmp_path):
    assert read_scene(transforms_scene(tmp_path)).reader == "transforms"
    assert read_scene(blender_scene(tmp_path)).reader == "blender"
    assert read_scene(colmap_scene(tmp_path)).reader == "colmap"


def test_unknown_folder_lists_what_each_reader_looked_for(tmp_path):
    with pytest.raises(DatasetError) as caught:
        read_scene(tmp_path)
    for expected in (
        "colmap: no folder sparse/",
        "blender: no transforms_train.json",
        "dtu: no cameras_sphere.npz",
        "panoptic: no train_meta.json",
        "nerfies: no dataset.json",
        "multipleview: no images.bin or images.txt in sparse_/",
        "neu3d: no poses_bounds.npy",
        "transforms: no transforms.json",
    ):
        assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_folder(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        read_scene(tmp_path / "nowhere")
