"""The CPU backend gives the same bits on every run and for any number of threads."""

from __future__ import annotations

import ndraster
import pytest
import torch
from ndraster import Settings

from tests.ndraster.clouds import CPU, camera, cloud, gradients, moved

pytestmark = CPU


def everything(threads: int) -> list[torch.Tensor]:
    """All images and gradients of a scene of several tiles and long lists."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        given = moved(cloud(2000, feature_width=40), torch.float32)
        settings = Settings(semantic_geometry_grad=True)
        output = ndraster.rasterize(given, camera(130, 90), settings=settings, backend="cpu")
        loss = output.color.square().sum() + output.features.square().sum() + output.depth.sum()
        (loss + ndraster.ssim(output.color, torch.zeros_like(output.color))).backward()
        values = [t.detach() for t in tensors_of(output)]
        return values + list(gradients(given).values()) + [output.screen_probe.grad]
    finally:
        torch.set_num_threads(before)


def tensors_of(output: ndraster.RasterOutput) -> list[torch.Tensor]:
    values = (getattr(output, name) for name in output.__dataclass_fields__)
    return [value for value in values if isinstance(value, torch.Tensor)]


def test_two_runs_agree_to_the_bit():
    assert all(torch.equal(a, b) for a, b in zip(everything(2), everything(2), strict=True))


@pytest.mark.parametrize("threads", [1, 3])
def test_thread_counts_agree_to_the_bit(threads):
    assert all(torch.equal(a, b) for a, b in zip(everything(threads), everything(2), strict=True))
