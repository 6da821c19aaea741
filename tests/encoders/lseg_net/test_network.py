"""LSeg's network: the keys of the published checkpoint, and properties of its parts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from encoders.lseg_net.network import BACKBONES, FusionBlock, LSegConfig, LSegNet, config_of, resized_positions
from utils.errors import UserError

pytest.importorskip("timm")

MANIFEST = Path(__file__).parents[1] / "manifests" / "lseg_demo_e200.json"
SMALL = BACKBONES["small"]
RANGE = re.compile(r"\[(\d+)-(\d+)\]")


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Key -> shape of demo_e200.ckpt; `[a-b]` in the manifest stands for several numbers."""
    shapes = {}
    for name, shape in json.loads(MANIFEST.read_text()).items():
        numbers = RANGE.search(name)
        span = range(int(numbers[1]), int(numbers[2]) + 1) if numbers else [0]
        shapes |= {RANGE.sub(str(number), name): tuple(shape) for number in span}
    return shapes


def full_size_state(backbone: str) -> dict[str, torch.Tensor]:
    """A state dict that takes no memory."""
    with torch.device("meta"):
        return LSegNet(BACKBONES[backbone]).state_dict()


@pytest.fixture(scope="module")
def network() -> LSegNet:
    torch.manual_seed(0)
    return LSegNet(SMALL).eval().requires_grad_(False)


def test_keys_and_shapes_are_those_of_the_published_checkpoint() -> None:
    published = published_shapes()
    assert len(published) == 730
    image = {name: shape for name, shape in published.items() if not name.startswith("clip_pretrained.")}
    own = full_size_state("clip_vitl16_384")
    assert {name: tuple(value.shape) for name, value in own.items()} == image
    assert sum(value.numel() for name, value in own.items() if "running" not in name) == pytest.approx(
        343.9e6, rel=1e-3
    )


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_variant_is_inferred_from_the_shapes(backbone: str) -> None:
    assert config_of(full_size_state(backbone)) == BACKBONES[backbone]


def test_a_foreign_checkpoint_is_refused() -> None:
    with pytest.raises(UserError, match="no weights of LSeg"):
        config_of({"blocks.0.weight": torch.zeros(1)})


def test_taps_end_the_quarters() -> None:
    assert BACKBONES["clip_vitl16_384"].taps == (5, 11, 17, 23)
    assert BACKBONES["clip_vitb32_384"].taps == (2, 5, 8, 11)


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, patch=32)])
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
def test_maps_have_half_the_size(config: LSegConfig, size: tuple[int, int]) -> None:
    network = LSegNet(config).eval()
    features = network(torch.randn(2, 3, *size))
    assert features.shape == (2, config.dim, size[0] // 2, size[1] // 2)


def test_other_sizes_are_refused(network: LSegNet) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        network(torch.zeros(1, 3, 48, 64))


def test_pictures_of_a_batch_do_not_mix(network: LSegNet) -> None:
    images = torch.randn(2, 3, 64, 32)
    assert torch.allclose(network(images)[1], network(images[1:])[0], atol=1e-5)


def test_every_weight_but_the_unused_ones_shapes_the_map() -> None:
    torch.manual_seed(0)
    network = LSegNet(SMALL).eval()
    network(torch.randn(1, 3, 96, 96)).square().sum().backward()
    idle = {name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()}
    unused = ("pretrained.model.norm.", "pretrained.model.head.", "scratch.refinenet4.resConfUnit1.")
    assert idle and all(name.startswith(unused) for name in idle), idle


def test_positions_of_the_stored_size_are_the_table() -> None:
    table = torch.randn(1, 1 + 16, 8)
    assert torch.equal(resized_positions(table, 4, 4), table)


def test_resized_positions_follow_a_ramp_at_pixel_centres() -> None:
    """A table that grows linearly along x keeps doing so between the outermost centres; the class token stays."""
    ramp = (torch.arange(8) + 0.5) / 8
    table = torch.cat([torch.full((1, 1, 1), 7.0), ramp.repeat(8).reshape(1, 64, 1)], dim=1)
    resized = resized_positions(table, 2, 16)
    assert resized.shape == (1, 1 + 32, 1) and resized[0, 0, 0] == 7
    centres = (torch.arange(16) + 0.5) / 16
    assert torch.allclose(resized[0, 1:17, 0][1:-1], centres[1:-1], atol=1e-6)


def test_fusion_without_detail_only_doubles() -> None:
    """With silent convolutions a block is: x + skip, twice the size, times the last convolution."""
    block = FusionBlock(3).eval()
    with torch.no_grad():
        for unit in (block.resConfUnit1, block.resConfUnit2):
            unit.conv2.weight.zero_()
        block.out_conv.weight.copy_(2 * torch.eye(3)[:, :, None, None])
        block.out_conv.bias.fill_(1.0)
    x, skip = torch.randn(1, 3, 4, 5), torch.randn(1, 3, 4, 5)
    out = block(x, skip)
    assert out.shape == (1, 3, 8, 10)
    corners = (..., [0, 0, -1, -1], [0, -1, 0, -1])  # fixed by align_corners
    assert torch.allclose(out[corners], 2 * (x + skip)[corners] + 1, atol=1e-5)
