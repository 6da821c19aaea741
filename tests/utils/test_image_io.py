import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import data_path
from utils.errors import UserError
from utils.image_io import read_image, resize_uint8, to_float, to_uint8, training_size, write_png


def random_image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [3, 4])
def test_png_round_trip(tmp_path, channels):
    image = random_image(5, 7, channels)
    write_png(tmp_path / "sub" / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "sub" / "a.png"), image)


def test_float_tensor_is_rounded_clamped_and_free_of_nan(tmp_path):
    image = torch.tensor([0.0, 0.5, 1.0, -3.0, 7.0, float("nan"), 0.999]).reshape(1, 1, 7).expand(3, 1, 7)
    write_png(tmp_path / "a.png", image)
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 128, 255, 0, 255, 0, 255]
    levels = random_image(4, 6, 3)
    assert np.array_equal(to_uint8(to_float(levels)), levels)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_rgb_or_rgba(tmp_path, mode):
    image = Image.new("L", (6, 4), 255).convert(mode if mode != "I;16" else "I")
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 6), 65535, dtype=np.uint16))
    path = tmp_path / "a.tif"
    image.save(path)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8 and pixels.shape == (4, 6, 4 if mode in ("LA", "RGBA") else 3)
    assert (pixels == 255).all()


def test_transparent_palette_keeps_alpha(tmp_path):
    image = Image.fromarray(random_image(4, 4) % 2).convert("P")
    image.save(tmp_path / "a.png", transparency=0)
    assert read_image(tmp_path / "a.png").shape == (4, 4, 4)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("keep", [0, 20, 0.5, 0.9])
def test_truncated_image_is_one_line(tmp_path, suffix, keep):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(random_image(64, 64, 3)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    with pytest.raises(UserError, match="not a readable image") as error:
        read_image(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_missing_image_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("shape", [(5,), (5, 7, 2), (2, 5, 7, 3)])
def test_write_png_refuses_other_shapes(tmp_path, shape):
    with pytest.raises(ValueError, match="shape"):
        write_png(tmp_path / "a.png", np.zeros(shape, dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_resize_does_not_bleed_hidden_colours():
    image = np.zeros((8, 8, 4), dtype=np.uint8)
    image[:, :4] = (255, 0, 0, 255)
    image[:, 4:] = (0, 255, 0, 0)  # transparent green
    small = resize_uint8(image, 3, 3)
    seen = small[small[:, :, 3] > 20]
    assert small.shape == (3, 3, 4) and len(seen) and (seen[:, 0] > 240).all() and (seen[:, 1] < 10).all()


def test_resize_keeps_constants_labels_and_single_channels():
    assert (resize_uint8(np.full((9, 7, 3), 77, dtype=np.uint8), 4, 5) == 77).all()
    labels = random_image(8, 8, 1) % 3 * 100
    halved = resize_uint8(labels, 4, 4, nearest=True)
    assert halved.shape == (4, 4, 1) and set(np.unique(halved)) <= set(np.unique(labels))
    assert resize_uint8(labels, 8, 8) is labels


@pytest.mark.parametrize(
    ("size", "resolution", "expected"),
    [
        ((1080, 1920), 1, (1080, 1920)),
        ((1081, 1923), 2, (540, 962)),
        ((1081, 1923), 8, (135, 240)),
        ((1600, 5000), -1, (1600, 5000)),
        ((4946, 3286), -1, (1600, 1063)),
        ((1000, 667), 400, (400, 266)),
        ((100, 50), 200, (200, 100)),
        ((3, 3), 8, (1, 1)),
        ((1000, 700), -2, (480, 320)),
    ],
)
def test_training_size_follows_the_rules(size, resolution, expected):
    assert training_size(*size, resolution) == expected


@pytest.mark.parametrize("resolution", [0, -3])
def test_training_size_refuses_others(resolution):
    with pytest.raises(UserError, match="change -r"):
        training_size(100, 100, resolution)


def test_reads_a_real_photo():
    photo = read_image(data_path("colmap_fox/images/0001.jpg"))
    assert photo.ndim == 3 and photo.shape[2] == 3 and photo.std() > 10
