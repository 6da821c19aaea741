import numpy as np

from encoders.classical_net.descriptors import BLOCK_SIZES, describe, gabor_energies, pixel_descriptors

RNG = np.random.default_rng(0)


def stripes(angle_rad, size=64, wavelength=4.0):
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    wave = 0.5 + 0.5 * np.cos(2 * np.pi / wavelength * (x * np.cos(angle_rad) + y * np.sin(angle_rad)))
    return np.repeat(wave[..., None], 3, axis=2).astype(np.float32)


def test_gabor_answers_its_own_orientation():
    for index in range(6):
        centre = gabor_energies(stripes(np.pi * index / 6))[:, 32, 32, 0]
        assert centre.argmax() == index and centre[(index + 3) % 6] < 0.2 * centre.max()


def test_flat_pictures_have_no_texture():
    flat = np.full((48, 48, 3), 0.6, np.float32)
    assert gabor_energies(flat)[:, 12:-12, 12:-12].max() < 1e-5


def test_descriptors_hardly_change_when_the_picture_turns():
    picture = RNG.integers(0, 255, (64, 64, 3), np.uint8)
    here = np.concatenate(pixel_descriptors(picture, 1.0), axis=2)
    turned = np.concatenate(pixel_descriptors(np.ascontiguousarray(np.rot90(picture)), 1.0), axis=2)
    assert here.shape[2] == sum(BLOCK_SIZES)
    np.testing.assert_allclose(np.rot90(here)[24:40, 24:40], turned[24:40, 24:40], atol=0.02)


def test_regions_average_their_pixels_and_know_their_neighbours():
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[:, 30:] = 255
    regions = describe(picture, 60, segments=16)
    assert regions.descriptors.shape == (regions.labels.max() + 1, sum(BLOCK_SIZES))
    lightness = regions.descriptors[:, 0]
    left, right = regions.labels[30, 5], regions.labels[30, 55]
    assert lightness[left] < 0.05 and lightness[right] > 0.95
    assert (regions.edges[:, 0] < regions.edges[:, 1]).all()
    for first, second in ((regions.labels[20, x], regions.labels[20, x + 1]) for x in range(59)):
        assert first == second or [min(first, second), max(first, second)] in regions.edges.tolist()
