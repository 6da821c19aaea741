import numpy as np
import pytest
import torch

from encoders.sam_net.rendered import rendered_embedding
from encoders.sam_net.segmenter import RANDOM, Segmenter, read_features

PHOTO = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(RANDOM, device="cpu")


def test_cells_are_taken_as_they_are_and_finer_maps_are_averaged(segmenter):
    cells, fine = torch.randn(256, 43, 64), torch.randn(256, 80, 120)
    assert torch.equal(segmenter.embed_rendered(cells, PHOTO, False)[:, :43], cells)
    expected = rendered_embedding(fine, (60, 40))
    torch.testing.assert_close(segmenter.embed_rendered(fine, PHOTO, False), expected)


def test_padding_is_encoded_once_for_each_shape(segmenter, monkeypatch):
    encoded, asked = torch.full((256, 64, 64), 7.0), []
    monkeypatch.setattr(segmenter, "embed", lambda image: asked.append(image.shape) or encoded)
    for photo in (PHOTO, PHOTO, PHOTO.transpose(1, 0, 2)):
        embedding = segmenter.embed_rendered(torch.zeros(256, 9, 9), photo, True)
        assert embedding[0, -1, -1] == 7 and embedding[0, 0, 0] == 0
    assert asked == [(40, 60, 3), (60, 40, 3)]
    assert not segmenter.embed_rendered(torch.zeros(256, 9, 9), PHOTO[:, :40], True).any()  # square: no padding
    assert len(asked) == 2


def test_other_checkpoints_and_maps_are_one_line(tmp_path, decoder):
    blocks = {f"image_encoder.blocks.{index}.norm1.weight": torch.zeros(2) for index in range(12)}
    torch.save(blocks | decoder.state_dict(), tmp_path / "sam.pth")
    with pytest.raises(ValueError, match="is SAM vit_b, --model-type is vit_l"):
        Segmenter(str(tmp_path / "sam.pth"), "vit_l", "cpu")
    torch.save(torch.full((256, 2, 2), torch.nan), tmp_path / "map.pt")
    with pytest.raises(ValueError, match="NaN or infinite"):
        read_features(tmp_path / "map.pt")
