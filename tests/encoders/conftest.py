"""A small procedural scene with labels, and the scene-spectral maps of it, made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from encoders.base import SceneImages, find_images, keyed
from encoders.classical import ClassicalTeacher
from examples.make_scene import SceneOptions, make
from tests.helpers import maps_of
from utils.progress import set_quiet

HELD_OUT = "view_002"


@pytest.fixture(autouse=True)
def quiet():
    set_quiet(True)
    yield
    set_quiet(False)


@pytest.fixture(scope="session")
def toy_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 8 pictures of 80x60 in COLMAP layout."""
    folder = tmp_path_factory.mktemp("toys") / "scene"
    make(SceneOptions("static", folder, (80, 60), views=8, samples=1))
    return folder


@pytest.fixture(scope="session")
def toy_images(toy_scene: Path) -> SceneImages:
    """Its pictures; all but one train."""
    paths = keyed(find_images(toy_scene))
    return SceneImages(toy_scene, paths, frozenset(paths) - {HELD_OUT})


@pytest.fixture(scope="session")
def spectral_maps(toy_images: SceneImages) -> dict[str, np.ndarray]:
    """Key -> [60, 80, 12], with one picture extended."""
    return maps_of(ClassicalTeacher(dim=12, segments=250).encode_scene(toy_images))
