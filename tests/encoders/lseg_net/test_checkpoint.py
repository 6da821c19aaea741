"""Checkpoints of LSeg in all their wrappings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from encoders.lseg_net.checkpoint import clip_weights, image_weights, load_network, without_wrapper
from encoders.lseg_net.network import BACKBONES, LSegNet
from utils.errors import UserError

pytest.importorskip("timm")

CLIP = {"clip_pretrained.positional_embedding": torch.ones(2), "clip_pretrained.visual.proj": torch.ones(3)}


@pytest.fixture(scope="module")
def network() -> LSegNet:
    torch.manual_seed(0)
    return LSegNet(BACKBONES["small"]).eval()


def test_only_the_first_wrapper_is_taken_off() -> None:
    assert set(without_wrapper({"net.net.a": torch.ones(1), "loss.b": torch.ones(1)})) == {"net.a"}
    assert set(without_wrapper({"ten.a": torch.ones(1)})) == {"ten.a"}  # not every leading character of "net."


def test_clip_keeps_its_own_names() -> None:
    assert set(clip_weights(CLIP)) == {"positional_embedding", "visual.proj"}
    assert clip_weights({"visual.proj": torch.ones(1)}) == {}


@pytest.mark.parametrize("wrapping", ["lightning", "bare", "exported"])
def test_the_network_comes_back(wrapping: str, network: LSegNet, tmp_path: Path) -> None:
    labels = {"scratch.head_block.depthwise.depthwise.weight": torch.ones(1, 1, 3, 3)}
    state = network.state_dict() | CLIP | labels
    if wrapping != "bare":
        state = {f"net.{name}": value for name, value in state.items()}
    path = tmp_path / "lseg.ckpt"
    torch.save({"state_dict": state, "epoch": 3} if wrapping == "lightning" else state, path)
    loaded = load_network(path).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(image), network(image))
    assert not any(value.is_meta for value in loaded.state_dict().values())


def test_a_checkpoint_with_a_gap_names_it(network: LSegNet, tmp_path: Path) -> None:
    state = network.state_dict()
    del state["scratch.refinenet2.out_conv.bias"]
    torch.save(state, tmp_path / "lseg.ckpt")
    with pytest.raises(UserError, match="1 missing .scratch.refinenet2.out_conv.bias."):
        load_network(tmp_path / "lseg.ckpt")


def test_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"blocks.0.weight": torch.ones(2)}, tmp_path / "dino.pth")
    with pytest.raises(UserError, match="no weights of LSeg"):
        load_network(tmp_path / "dino.pth")
    assert image_weights(CLIP) == {}
