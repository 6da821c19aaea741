"""examples/layered.py: pictures of the layers and of both agree, and can be read as data sets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from examples.camera_paths import hemisphere
from examples.layered import GLASS_ALPHA, LAYERS, SHELL_LABEL, Shell, enclosed_toys, label_maps, over, pictures
from examples.make_scene import SceneOptions, make
from examples.raytracer import surface_points
from scene.datasets import ReadOptions, read_scene
from utils.image_io import read_image

(VIEW,) = hemisphere(1, (64, 64), seed=3)


@pytest.fixture(scope="module")
def drawn() -> dict[str, np.ndarray]:
    return pictures(enclosed_toys(), VIEW, samples=1)


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    values = rgba.reshape(-1, 4) / 255
    return np.concatenate([values[:, :3] * values[:, 3:], values[:, 3:]], axis=1)


def test_the_composite_is_near_side_over_toys_over_far_side(drawn):
    near, far = Shell().sides(VIEW, (0.5, 0.5))
    assert np.abs(premultiplied(drawn["outer"]) - over(near, far)).max() < 0.005
    expected = over(near, premultiplied(drawn["inner"]), far)
    assert np.abs(premultiplied(drawn["composite"]) - expected).max() < 0.005


def test_glass_and_bands_have_their_alpha(drawn):
    alphas = np.unique(drawn["outer"][..., 3])
    single, double = round(255 * GLASS_ALPHA), round(255 * (1 - (1 - GLASS_ALPHA) ** 2))
    assert set(alphas.tolist()) <= {0, 255, single, double} and {0, 255, double} <= set(alphas.tolist())
    assert set(np.unique(drawn["inner"][..., 3]).tolist()) == {0, 255}


def test_all_toys_lie_within_the_shell():
    scene, rng = enclosed_toys(5), np.random.default_rng(0)
    for view in hemisphere(6, (48, 48), seed=1):
        points, _ = surface_points(scene.world, view, 500, rng)
        inside = ((points - scene.shell.centre) / scene.shell.half) ** 2
        assert inside.sum(1).max() < 0.98


def test_over_is_associative_and_an_opaque_layer_hides_all_behind():
    rng = np.random.default_rng(0)
    a, b, c = (rng.uniform(size=(9, 4)) * np.array([0.1, 0.1, 0.1, 1]) for _ in range(3))
    np.testing.assert_allclose(over(a, over(b, c)), over(a, b, c))
    b[:, 3] = 1
    np.testing.assert_allclose(over(b, c), b)


def test_labels_name_what_is_seen(drawn):
    maps = label_maps(enclosed_toys(), VIEW)
    assert set(np.unique(maps["outer"]).tolist()) == {0, SHELL_LABEL}
    assert (maps["inner"] > 0).sum() == (drawn["inner"][..., 3] == 255).sum()
    assert set(np.unique(maps["composite"]).tolist()) > {0, SHELL_LABEL}
    opaque = drawn["outer"][..., 3] == 255
    assert not (maps["composite"][opaque] == 0).any()


def test_three_data_sets_with_the_same_views(tmp_path):
    make(SceneOptions("layers", tmp_path / "scene", (32, 24), views=5, samples=1))
    found = {name: read_scene(tmp_path / "scene" / name, ReadOptions(eval=True)) for name in LAYERS}
    for name, info in found.items():
        assert (info.reader, len(info.train), len(info.test)) == ("blender", 5, 1) and not info.warnings
        assert read_image(info.train[0].image_path).shape == (24, 32, 4)
        poses = zip(info.train, found["inner"].train, strict=True)
        assert all(np.array_equal(one.world_to_camera, other.world_to_camera) for one, other in poses)
        classes = json.loads((tmp_path / "scene" / name / "labels/classes.json").read_text())
        assert classes[str(SHELL_LABEL)] == "shell" and classes["3"] == "ball"
