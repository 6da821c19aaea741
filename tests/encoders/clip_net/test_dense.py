"""CLIP read densely, against open_clip's own tower."""

from __future__ import annotations

import pytest
import torch

from encoders.clip_net.dense import DenseClip, patch_values, resized_positions

open_clip = pytest.importorskip("open_clip")

VISION = {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}
TEXT = {"context_length": 8, "vocab_size": 10, "width": 32, "heads": 1, "layers": 1}


@pytest.fixture(scope="module")
def visual() -> torch.nn.Module:
    torch.manual_seed(0)
    return open_clip.CLIP(24, VISION, TEXT, quick_gelu=True).visual.eval().requires_grad_(False)


def test_maps_have_a_cell_per_patch(visual: torch.nn.Module) -> None:
    assert DenseClip(visual)(torch.randn(2, 3, 48, 80)).shape == (2, 24, 3, 5)


def test_values_are_what_attention_to_oneself_gives(visual: torch.nn.Module) -> None:
    """The attention of a sequence of one token returns that token's projected value."""
    block, tokens = visual.transformer.resblocks[-1], torch.randn(5, 1, 64)
    normed = block.ln_1(tokens)
    assert torch.allclose(patch_values(block, tokens), block.attn(normed, normed, normed)[0], atol=1e-6)


def test_all_but_the_last_block_is_open_clips(visual: torch.nn.Module) -> None:
    """Where the last block would only pass patch values on, open_clip's own tokens lead to the same features."""
    image = torch.randn(1, 3, 64, 64)
    tokens = visual._embeds(image)
    for block in visual.transformer.resblocks[:-1]:
        tokens = block(tokens)
    expected = visual.ln_post(patch_values(visual.transformer.resblocks[-1], tokens[:, 1:])) @ visual.proj
    assert torch.allclose(DenseClip(visual)(image).flatten(2).transpose(1, 2), expected, atol=1e-5)


def test_positions_of_the_stored_size_are_the_table() -> None:
    table = torch.randn(17, 6)
    assert torch.allclose(resized_positions(table, 4, 4), table, atol=1e-6)
    assert torch.equal(resized_positions(table, 3, 7)[0], table[0])
