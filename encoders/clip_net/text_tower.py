"""CLIP's text tower on its own, from the weights of a whole CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from encoders.clip_net.models import config_name, import_open_clip
from encoders.weights import load_strictly
from utils.errors import UserError

PARTS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")
HEAD_WIDTH = 64  # of every attention head, in all of OpenAI's models


def text_tower(weights: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The tower [K, 77] tokens -> [K, C], its sizes inferred from the weights.

    Raises:
        UserError: these are not the weights of a CLIP.
    """
    weights = {name: value for name, value in weights.items() if name.startswith(PARTS)}
    try:
        vocabulary, width = weights["token_embedding.weight"].shape
        context, dim = len(weights["positional_embedding"]), weights["text_projection"].shape[1]
    except (KeyError, IndexError):
        raise UserError(f"{path} has no text tower; expected a CLIP or a checkpoint of LSeg; name another") from None
    open_clip = import_open_clip()
    tower = open_clip.transformer.TextTransformer(
        context_length=context,
        vocab_size=vocabulary,
        width=width,
        heads=width // HEAD_WIDTH,
        layers=len({name.split(".")[2] for name in weights if name.startswith("transformer.")}),
        output_dim=dim,
        act_layer=open_clip.transformer.QuickGELU,
    )
    load_strictly(tower, weights, path)
    return tower.eval().requires_grad_(False)


@torch.inference_mode()
def encode_tokens(tower: nn.Module, tokens: Tensor) -> Tensor:
    """Features [K, C] of tokens [K, 77], not normalised.

    As the tower itself gives them, but without the positions behind the longest text: attention looks back only, so
    they change nothing, and a word is 3 tokens long.
    """
    ends = tokens.argmax(1)  # the end token has the highest number
    length = int(ends.max()) + 1
    x = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
    x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
    return tower.ln_final(x[torch.arange(len(x)), ends]) @ tower.text_projection


def random_tower(model: str) -> nn.Module:
    """A tower that has learned nothing, the same every time."""
    open_clip = import_open_clip()
    config = open_clip.get_model_config(config_name(model))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = open_clip.transformer.TextTransformer(**config["text_cfg"], output_dim=config["embed_dim"])
    return tower.eval().requires_grad_(False)
