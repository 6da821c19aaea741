import numpy as np
import pytest

from examples import textures

POINTS = np.random.default_rng(0).uniform(-0.3, 0.3, (4000, 3)).astype(np.float32)
TEXTURES = {
    "gores": textures.gores(("#e5533d", "#f6efe2"), "#ffffff"),
    "planks": textures.planks("#d9a066", "#8a5a2b", 0.15),
    "dots": textures.dots("#c8262b", "#fbf3e4", 0.6, 0.17),
    "zigzag": textures.zigzag("#1f6f78", "#f4d58d", "#c8553d", 0.17),
    "marble": textures.marble("#f2f0ea", "#3f5266", 8.0),
    "bands": textures.bands(("#7b4fa3", "#e8c9f0"), 0.08),
    "painted": textures.painted("#3f66b0", "#b9d0f0", 0.3),
    "speckled": textures.speckled(textures.marble("#f2f0ea", "#3f5266", 8.0), ("#c8553d", "#2f4858"), 12.0),
    "plaza": textures.plaza(0.25),
    "landscape": textures.landscape(0.5),
}


@pytest.mark.parametrize("name", TEXTURES)
def test_colours_are_bounded_varied_and_repeatable(name):
    colours = TEXTURES[name](POINTS)
    assert colours.shape == POINTS.shape
    assert colours.min() >= 0 and colours.max() <= 1.25  # a bright cloud may pass 1 before the display clips it
    assert colours.std(axis=0).max() > 0.02
    np.testing.assert_array_equal(colours, TEXTURES[name](POINTS))


def test_noise_is_smooth_bounded_and_periodic():
    values = textures.value_noise(POINTS * 40, seed=3)
    assert values.min() >= 0 and values.max() <= 1
    near = textures.value_noise(POINTS * 40 + np.float32(1e-3), seed=3)
    assert np.abs(values - near).max() < 0.02
    whole = np.array([[0.25, 1.5, 2.75]])
    np.testing.assert_allclose(textures.value_noise(whole), textures.value_noise(whole + textures.LATTICE), rtol=1e-6)
