"""Windows, scales and flips, checked with stand-ins for the network whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from encoders.lseg_net.evaluation import (
    BASE_SIDE,
    BLACK,
    SCALES,
    flip_averaged,
    multi_scale,
    padded,
    resized,
    scaled_size,
    slide,
    window_starts,
)


class Halved(nn.Module):
    """A network that answers with the picture itself, at half resolution."""

    def forward(self, image: Tensor) -> Tensor:
        return image[..., ::2, ::2]


@pytest.mark.parametrize(
    ("scale", "size", "windows"),
    [(0.75, (293, 390), (1, 1)), (1.0, (390, 520), (1, 2)), (1.25, (488, 650), (2, 2)), (1.75, (683, 910), (2, 3))],
)
def test_windows_of_a_480_by_360_picture(scale: float, size: tuple[int, int], windows: tuple[int, int]) -> None:
    assert scaled_size((360, 480), math.ceil(BASE_SIDE * scale)) == size
    assert tuple(len(window_starts(side)) for side in size) == windows


@pytest.mark.parametrize(("height", "crops"), [(360, 13), (270, 11)])
def test_number_of_crops_of_a_picture(height: int, crops: int) -> None:
    sizes = [scaled_size((height, 480), math.ceil(BASE_SIDE * scale)) for scale in SCALES]
    assert sum(len(window_starts(h)) * len(window_starts(w)) for h, w in sizes) == crops


@pytest.mark.parametrize("size", range(1, 1400, 37))
def test_windows_cover_everything_and_none_is_idle(size: int) -> None:
    starts = window_starts(size)
    assert starts[0] == 0 and starts[-1] + 480 >= size
    assert all(start < size for start in starts) and all(b - a == 320 for a, b in zip(starts, starts[1:], strict=False))


@pytest.mark.parametrize("size", [(3, 5), (12, 12), (13, 29), (40, 12)])
def test_sliding_gives_back_what_does_not_depend_on_the_window(size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size)
    assert torch.allclose(slide(lambda window: window, image, crop=12, stride=8), image, atol=1e-6)


def test_sliding_works_at_half_resolution() -> None:
    image = torch.randn(1, 3, 22, 30)
    assert torch.allclose(slide(Halved(), image, crop=12, stride=8), image[..., ::2, ::2], atol=1e-6)


def test_overlaps_are_averaged_and_windows_filled_with_black() -> None:
    """Windows numbered in order over 20 columns: 0-11 first, 8-19 second."""
    seen = []

    def number(window: Tensor) -> Tensor:
        seen.append(window)
        return torch.full_like(window, float(len(seen)))

    row = slide(number, torch.zeros(1, 1, 5, 20), crop=12, stride=8)[0, 0, 0]
    assert row.tolist() == [1.0] * 8 + [1.5] * 4 + [2.0] * 8
    assert all(window.shape == (1, 1, 12, 12) for window in seen)
    assert (seen[0][..., 5:, :] == BLACK).all() and (seen[0][..., :5, :] == 0).all()


def test_the_flip_is_flipped_back() -> None:
    image = torch.randn(2, 3, 4, 6)
    assert torch.equal(flip_averaged(nn.Identity(), image), image)

    class Left(nn.Module):
        """Marks the left column, whatever is there."""

        def forward(self, x: Tensor) -> Tensor:
            return torch.zeros_like(x).index_fill(-1, torch.tensor(0), 1.0)

    assert flip_averaged(Left(), image)[0, 0, 0].tolist() == [0.5, 0, 0, 0, 0, 0.5]


def test_scales_are_summed_not_averaged() -> None:
    """For a network that answers 1 everywhere the sum over four scales is 4."""

    class One(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return torch.ones(len(image), 2, image.shape[-2] // 2, image.shape[-1] // 2)

    features = multi_scale(One(), torch.zeros(1, 3, 360, 480))
    assert features.shape == (1, 2, 360, 480)
    assert torch.allclose(features, torch.tensor(4.0), atol=1e-5)


def test_the_map_follows_the_picture() -> None:
    """A smooth picture comes back (four times) from a network that copies it."""
    ramp = torch.linspace(-1, 1, 96).expand(1, 3, 64, 96)
    features = multi_scale(Halved(), ramp)
    inner = (..., slice(4, -4), slice(4, -4))
    assert (features[inner] / 4 - ramp[inner]).abs().max() < 0.05


def test_resizing_fixes_the_corners_and_keeps_the_type() -> None:
    image = torch.randn(1, 1, 5, 7)
    large = resized(image, (11, 9))
    assert large[0, 0, 0, 0] == image[0, 0, 0, 0] and large[0, 0, -1, -1] == image[0, 0, -1, -1]
    assert resized(image.bfloat16(), (3, 3)).dtype == torch.bfloat16
    assert resized(image, (5, 7)) is image


def test_padding_is_black_on_the_right_and_at_the_bottom() -> None:
    image = padded(torch.zeros(1, 3, 2, 3), 4, 4)
    assert image.sum() == BLACK * 3 * (16 - 6) and image[0, 0, 1, 2] == 0
