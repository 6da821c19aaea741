"""CLIP's words: the tower against open_clip's whole model, the places its weights come from, offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from encoders import clip_text
from encoders.clip_net.models import MODELS
from encoders.clip_net.text_tower import encode_tokens, text_tower
from encoders.clip_text import ClipText, open_clip_text, open_lseg_text
from encoders.record import TeacherRecord
from encoders.text import encode_prompts, open_text_encoder
from utils.errors import UserError

open_clip = pytest.importorskip("open_clip")

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
VISION = {"image_size": 32, "layers": 1, "width": 64, "head_width": 64, "patch_size": 16}
WORDS = ["cat", "a photo of a truck.", "x " * 200]


@pytest.fixture(scope="module")
def whole_clip() -> torch.nn.Module:
    torch.manual_seed(1)
    return open_clip.CLIP(512, VISION, TEXT, quick_gelu=True).eval().requires_grad_(False)


@pytest.fixture(autouse=True)
def nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Weights lie in `tmp_path` or nowhere; what other tests opened is forgotten."""
    monkeypatch.setenv("SPLAT_DISTILL_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("TORCH_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    clip_text._from_file.cache_clear()
    yield
    clip_text._from_file.cache_clear()


def test_the_tower_gives_what_the_whole_model_gives(whole_clip: torch.nn.Module) -> None:
    tokens = open_clip.get_tokenizer("ViT-B-32-quickgelu")(WORDS)
    expected = whole_clip.encode_text(tokens)
    tower = text_tower(whole_clip.state_dict(), Path("clip"))
    assert torch.allclose(tower(tokens), expected, atol=1e-5)
    assert torch.allclose(encode_tokens(tower, tokens), expected, atol=1e-5)
    assert not torch.allclose(expected[0], expected[1], atol=1e-2)  # else the above would show nothing


def test_rows_are_unit_vectors_that_do_not_depend_on_the_batch(whole_clip: torch.nn.Module) -> None:
    encoder = ClipText(text_tower(whole_clip.state_dict(), Path("clip")))
    rows = encoder.encode([*WORDS, "cat"])
    assert rows.shape == (4, encoder.dim) and rows.dtype == torch.float32
    assert torch.allclose(rows.norm(dim=1), torch.ones(4), atol=1e-5)
    assert torch.equal(rows[0], rows[3])
    alone = ClipText(text_tower(whole_clip.state_dict(), Path("clip"))).encode(["cat"])
    assert torch.allclose(alone[0], rows[0], atol=1e-5)


def test_a_text_is_encoded_once(whole_clip: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, seen = ClipText(text_tower(whole_clip.state_dict(), Path("clip"))), []
    monkeypatch.setattr(clip_text, "encode_tokens", lambda tower, t: (seen.append(len(t)), encode_tokens(tower, t))[1])
    monkeypatch.setattr(clip_text, "BATCH", 2)
    encoder.encode(["a", "b", "c", "a"])
    encoder.encode(["c", "b"])
    assert seen == [2, 1]


def checkpoint_of_lseg(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """CLIP inside LSeg, in half precision as it was published."""
    halves = {name: value.half() if value.ndim > 1 else value for name, value in state.items()}
    image = {"net.scratch.head1.weight": torch.zeros(512, 4, 1, 1)}
    return image | {f"net.clip_pretrained.{name}": value for name, value in halves.items()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", ["lseg", "open_clip", "openai"])
def test_every_source_of_the_weights_gives_the_same_words(
    source: str, whole_clip: torch.nn.Module, tmp_path: Path
) -> None:
    state = whole_clip.state_dict()
    if source == "lseg":
        torch.save({"state_dict": checkpoint_of_lseg(state)}, tmp_path / "demo_e200.ckpt")
    elif source == "open_clip":
        save_file(
            {name: value.contiguous() for name, value in state.items()}, tmp_path / MODELS["ViT-B-32"].files[0].name
        )
    else:
        example = (torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.long))
        torch.jit.save(torch.jit.trace(whole_clip, example, check_trace=False), tmp_path / "ViT-B-32.pt")
    encoder = open_text_encoder(TeacherRecord("lseg", 512))
    expected = F.normalize(whole_clip.encode_text(open_clip.get_tokenizer("ViT-B-32")(["cat", "truck"])), dim=1)
    cosines = (encode_prompts(encoder, ["cat", "truck"]) * expected).sum(1)
    assert (cosines > 0.9999).all()


def test_without_weights_both_places_are_named() -> None:
    with pytest.raises(UserError) as caught:
        open_lseg_text(TeacherRecord("lseg", 512))
    assert "demo_e200.ckpt" in str(caught.value) and "ViT-B-32.pt" in str(caught.value)
    with pytest.raises(UserError, match="ViT-L-14.pt"):
        open_clip_text(TeacherRecord("clip", 768, {"model": "ViT-L-14"}))


def test_features_of_an_unknown_width_or_model_have_no_words() -> None:
    with pytest.raises(UserError, match="128 channels"):
        open_lseg_text(TeacherRecord("lseg", 128))
    with pytest.raises(UserError, match="CLIP 'ViT-X'"):
        open_clip_text(TeacherRecord("clip", 512, {"model": "ViT-X"}))


def test_a_file_without_a_text_tower_says_so(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="no text tower"):
        open_lseg_text(TeacherRecord("lseg", 512), str(tmp_path / "other.safetensors"))


def test_random_words_are_repeatable_and_come_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, whole_clip: torch.nn.Module, capsys: pytest.CaptureFixture
) -> None:
    tower = text_tower(whole_clip.state_dict(), Path("clip"))  # stands for the full-size one
    monkeypatch.setattr(clip_text, "random_tower", lambda model: tower)
    clip_text._random.cache_clear()
    encoder = open_lseg_text(TeacherRecord("lseg", 512, {"weights": "random"}))
    assert encoder is open_lseg_text(TeacherRecord("lseg", 512), "random")
    assert "RANDOM" in capsys.readouterr().err
    clip_text._random.cache_clear()
