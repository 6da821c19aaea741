"""The table of CLIP's models against open_clip's."""

from __future__ import annotations

import pytest

from encoders.clip_net.models import MODELS, config_name

open_clip = pytest.importorskip("open_clip")


@pytest.mark.parametrize("name", MODELS)
def test_addresses_and_widths_are_open_clips(name: str) -> None:
    published = open_clip.get_pretrained_cfg(config_name(name), "openai")
    hub, openai = MODELS[name].files
    assert openai.url == published["url"]
    assert openai.sha256 in openai.url and len(openai.sha256) == 64
    assert hub.hub[0] == published["hf_hub"].rstrip("/")
    config = open_clip.get_model_config(config_name(name))
    assert config["embed_dim"] == MODELS[name].dim and config["quick_gelu"]
