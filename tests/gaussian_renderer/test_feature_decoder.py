"""The linear decoder commutes with blending, keeps its metric and survives a round trip."""

import pytest
import torch

from gaussian_renderer import render
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from tests.blobs import REFERENCE, blob_model, ring_cameras
from utils.errors import UserError


@pytest.fixture
def decoder() -> LinearDecoder:
    torch.manual_seed(0)
    return LinearDecoder(4, 7)


def test_rows_and_maps_decode_alike(decoder):
    features = torch.randn(4, 5, 6)
    decoded = decoder(features)
    rows = decoder(features.flatten(1).T)
    assert decoded.shape == (7, 5, 6)
    torch.testing.assert_close(decoded.flatten(1).T, rows)
    torch.testing.assert_close(decoder(features[None])[0], decoded)


def test_decoding_commutes_with_blending_up_to_the_bias(decoder):
    model, camera = blob_model(), ring_cameras(1)[0]
    with torch.no_grad():
        after = render(camera, model, settings=REFERENCE)
        before = render(camera, model, settings=REFERENCE, features=decoder(model.features))
        missing_bias = (1 - after.alpha) * decoder.linear.bias[:, None, None]
    torch.testing.assert_close(decoder(after.features), before.features + missing_bias, atol=1e-5, rtol=1e-5)


def test_metric_root_gives_the_decoded_cosines(decoder):
    a, b = torch.randn(20, 4), torch.randn(20, 4)
    ones = torch.ones(20, 1)
    root = decoder.metric_root()
    short = torch.nn.functional.cosine_similarity(torch.cat([a, ones], 1) @ root.T, torch.cat([b, ones], 1) @ root.T)
    full = torch.nn.functional.cosine_similarity(decoder(a), decoder(b))
    torch.testing.assert_close(short, full, atol=1e-5, rtol=1e-5)


def test_file_has_the_shapes_of_a_1x1_convolution(decoder, tmp_path):
    path = decoder_path(tmp_path, 30)
    decoder.save(path)
    state = torch.load(path, weights_only=True)
    assert path.name == "decoder_chkpnt30.pth"
    assert {key: tuple(value.shape) for key, value in state.items()} == {
        "conv.weight": (7, 4, 1, 1),
        "conv.bias": (7,),
    }
    loaded = LinearDecoder.load(path)
    assert (loaded.feature_dim, loaded.teacher_dim) == (4, 7)
    features = torch.randn(3, 4)
    assert torch.equal(loaded(features), decoder(features))


@pytest.mark.parametrize(
    "state", [{}, {"conv.weight": torch.zeros(7, 4, 1, 1)}, [1], {"conv.weight": 1, "conv.bias": 2}]
)
def test_a_file_without_decoder_is_one_line(state, tmp_path):
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(UserError, match="no decoder in it"):
        LinearDecoder.load(tmp_path / "x.pth")


def test_shapes_that_disagree_are_named(tmp_path):
    torch.save({"conv.weight": torch.zeros(7, 4, 1, 1), "conv.bias": torch.zeros(6)}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"conv.bias \(6,\)"):
        LinearDecoder.load(tmp_path / "x.pth")
