"""Records of a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from scene.scene_info import CameraInfo, SceneInfo


def test_a_scene_moves_if_its_pictures_were_taken_at_different_times():
    camera = CameraInfo("a.png", Path("a.png"), np.eye(4), 1, 1, 0.5, 0.5, 1, 1, time=0.5)
    info = SceneInfo((camera, camera), (camera,), None, Path(), "none")
    assert not info.is_dynamic and info.num_times == 1
    later = replace(info, test=(replace(camera, time=0.75),))
    assert later.is_dynamic and later.num_times == 2
