"""How pictures enter LSeg and where the cells of its maps lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from encoders.lseg_net.modes import MODES, working_size
from utils.errors import UserError


class Halved(nn.Module):
    """Answers with the mean picture of 2x2 px, for inputs as LSeg wants them."""

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[-1] % 32 == 0 and image.shape[-2] % 32 == 0
        return nn.functional.avg_pool2d(image, 2)


def ramp_picture(width: int, height: int) -> np.ndarray:
    """Red grows to the right, green downwards, by pixel centres; 0..255."""
    x = (np.arange(width) + 0.5) / width
    y = (np.arange(height) + 0.5) / height
    image = np.zeros((height, width, 3))
    image[..., 0], image[..., 1] = x[None, :], y[:, None]
    return (image * 255).round().astype(np.uint8)


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("size", [(160, 120), (120, 200), (97, 61)])
def test_cells_lie_where_they_say(name: str, size: tuple[int, int]) -> None:
    """A picture whose colours tell the position, through a network that copies, gives cells that tell their own."""
    mode, side = MODES[name], 224
    pixels = mode.prepare(ramp_picture(*size), side)
    assert pixels.dtype == torch.float32 and pixels.ndim == 3
    raw = mode.encode(Halved(), pixels[None])[0]
    features, placement = mode.place(raw, size, side)
    _, height, width = features.shape
    x0, dx, y0, dy = placement or (0.5 / width, 1 / width, 0.5 / height, 1 / height)
    values = {"fast": (features + 1) / 2, "sliding": (features + 1) / 2, "feature3dgs": (features / 4 + 1) / 2}
    told = values.get(name, features)
    tolerance = 0.04 if name == "feature3dgs" else 0.012  # it resamples eight times, corners fixed
    inner_x, inner_y = slice(width // 8, -width // 8), slice(height // 8, -height // 8)
    expected_x, expected_y = x0 + dx * torch.arange(width), y0 + dy * torch.arange(height)
    assert (told[0, height // 2] - expected_x)[inner_x].abs().max() < tolerance
    assert (told[1, :, width // 2] - expected_y)[inner_y].abs().max() < tolerance


def test_fast_inputs_are_multiples_of_32_filled_with_black() -> None:
    pixels = MODES["fast"].prepare(np.full((60, 100, 3), 255, np.uint8), 200)
    assert pixels.shape == (3, 128, 224)
    assert (pixels[:, :120, :200] == 1).all() and (pixels[:, 120:] == -1).all() and (pixels[:, :, 200:] == -1).all()


@pytest.mark.parametrize("size", [(1920, 1080), (1, 1), (3000, 10), (333, 777)])
def test_working_sizes_are_even_and_keep_the_proportions(size: tuple[int, int]) -> None:
    width, height = working_size(size, 640)
    assert max(width, height) == 640 and width % 2 == height % 2 == 0 and min(width, height) >= 2
    assert abs(width - size[0] * 640 / max(size)) <= 2 and abs(height - size[1] * 640 / max(size)) <= 2


def test_feature3dgs_forgets_the_proportions_of_wide_pictures_only() -> None:
    prepare = MODES["feature3dgs"].prepare
    assert prepare(np.zeros((1080, 1920, 3), np.uint8), 480).shape == (3, 360, 480)
    assert prepare(np.zeros((900, 480, 3), np.uint8), 480).shape == (3, 900, 480)
    assert prepare(np.zeros((480, 640, 3), np.uint8), 320).shape == (3, 240, 320)  # as for Replica and ScanNet
    assert prepare(np.zeros((2, 2, 3), np.uint8), 480).unique().tolist() == [-1.0]


def test_dgd_feeds_zero_to_one_at_its_own_width() -> None:
    pixels = MODES["dgd"].prepare(np.full((536, 960, 3), 255, np.uint8), 1071)
    assert pixels.shape == (3, 512, 1056) and pixels.min() == pixels.max() == 1.0
    with pytest.raises(UserError, match="20 px high"):
        MODES["dgd"].prepare(np.zeros((20, 40, 3), np.uint8), 1071)
