import numpy as np
import pytest
import torch
from PIL import Image

from encoders.sam_net.image_encoder import MEAN, NETWORKS, STD, SamEncoder, embed, prepare
from tests.encoders.key_manifest import published_shapes


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


@pytest.mark.parametrize("model", NETWORKS)
def test_names_and_shapes_are_those_of_the_published_weights(model):
    with torch.device("meta"):
        own = SamEncoder.build(model).network.state_dict()
    published = published_shapes(f"sam_{model}").items()
    prefix = "image_encoder."
    expected = {
        name.removeprefix(prefix).replace("mlp.lin", "mlp.fc"): shape
        for name, shape in published
        if name.startswith(prefix)
    }
    assert {name: tuple(value.shape) for name, value in own.items()} == expected


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (1100, 1100)])
def test_pictures_are_scaled_normalised_and_padded_with_zeros(size):
    image = picture(*size)
    pixels = prepare(image)
    scale = 1024 / max(size)
    width, height = (int(side * scale + 0.5) for side in size)
    assert pixels.shape == (3, 1024, 1024) and pixels.dtype == torch.float32
    assert not pixels[:, height:].any() and not pixels[:, :, width:].any()
    scaled = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    restored = pixels[:, :height, :width].permute(1, 2, 0).numpy() * np.array(STD) + np.array(MEAN)
    np.testing.assert_allclose(restored, scaled, atol=1e-3)


def test_embeddings_include_the_padding():
    embedding = embed(SamEncoder.random(), picture(60, 40))
    assert embedding.shape == (256, 64, 64) and embedding[:, 50:].abs().max() > 0


def test_other_files_are_one_line(tmp_path):
    path = tmp_path / "small.pth"
    torch.save({f"image_encoder.blocks.{index}.norm1.weight": torch.zeros(2) for index in range(12)}, path)
    with pytest.raises(
        ValueError, match=r"small.pth does not fit the network.*norm1.weight \(2,\) instead of \(768,\)"
    ):
        SamEncoder.load(path)


def test_preparation_is_that_of_segment_anything():
    transforms = pytest.importorskip("segment_anything.utils.transforms", reason="pip install segment-anything")
    image = picture(301, 200)
    scaled = transforms.ResizeLongestSide(1024).apply_image(image)
    expected = (torch.from_numpy(scaled).permute(2, 0, 1) - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]
    torch.testing.assert_close(prepare(image)[:, : scaled.shape[0], : scaled.shape[1]], expected, atol=1e-5, rtol=1e-5)


def test_embeddings_are_those_of_segment_anything():
    modeling = pytest.importorskip(
        "segment_anything.modeling", reason="pip install segment-anything to compare with it"
    )
    ours = SamEncoder.random()
    theirs = modeling.ImageEncoderViT(
        depth=1, embed_dim=32, num_heads=1, qkv_bias=True, use_rel_pos=True, window_size=14, out_chans=256,
        norm_layer=lambda width: torch.nn.LayerNorm(width, eps=1e-6),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in ours.parameters():  # tables that start as zeros take part
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        state = {name.replace("mlp.fc", "mlp.lin"): value for name, value in ours.network.state_dict().items()}
        theirs.load_state_dict(state)
        expected = theirs(prepare(picture(60, 40))[None])[0]
    torch.testing.assert_close(embed(ours, picture(60, 40)), expected, atol=5e-5, rtol=0)
