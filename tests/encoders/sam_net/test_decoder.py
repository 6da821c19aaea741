import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from encoders.sam_net.decoder import Masks, Prompts, SamDecoder, full_size, placed_points
from encoders.sam_net.frame import Frame
from encoders.sam_net.layers import Attention
from tests.encoders.key_manifest import published_shapes

SIZE = (450, 300)
POINTS = torch.tensor([[[100.0, 50.0], [300.0, 200.0]], [[10.0, 20.0], [440.0, 290.0]]])
LABELS = torch.tensor([[1, 0], [1, 1]])
BOXES = torch.tensor([[20.0, 30.0, 200.0, 220.0], [100.0, 5.0, 449.0, 299.0]])


def test_names_and_shapes_are_those_of_the_published_weights():
    with torch.device("meta"):
        own = SamDecoder().state_dict()
    published = published_shapes("sam_vit_b")
    assert {name: tuple(value.shape) for name, value in own.items()} == {
        name: shape for name, shape in published.items() if not name.startswith("image_encoder.")
    }
    assert sum(value.numel() for value in own.values()) == pytest.approx(4.06e6, rel=0.01)


def test_places_are_sines_of_random_projections(decoder):
    encoder = decoder.prompt_encoder
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix.numpy().astype(np.float64)
    token = encoder.points(torch.tensor([[[0.3, 0.8]]]), torch.tensor([[1]]))[0, 0].numpy()
    angles = 2 * math.pi * (2 * np.array([0.3, 0.8]) - 1) @ matrix
    expected = np.concatenate([np.sin(angles), np.cos(angles)]) + encoder.point_embeddings[1].weight[0].numpy()
    np.testing.assert_allclose(token, expected, atol=1e-5)


def test_filling_points_ignore_their_place(decoder):
    places = torch.tensor([[[0.0, 0.0], [0.7, 0.1]]])
    tokens = decoder.prompt_encoder.points(places, torch.full((1, 2), -1))
    torch.testing.assert_close(tokens[0], decoder.prompt_encoder.not_a_point_embed.weight.expand(2, -1))


def test_cells_are_placed_row_by_row(decoder):
    positions = decoder.prompt_encoder.cell_positions().unflatten(0, (64, 64))
    expected = decoder.prompt_encoder.pe_layer(torch.tensor([(5 + 0.5) / 64, (40 + 0.5) / 64]))
    torch.testing.assert_close(positions[40, 5], expected)


def test_points_come_first_and_end_with_a_filling_one_unless_there_is_a_box():
    frame = Frame(*SIZE)
    places, labels = placed_points(Prompts(POINTS, LABELS), frame)
    assert labels.tolist() == [[1, 0, -1], [1, 1, -1]] and places.shape == (2, 3, 2)
    places, labels = placed_points(Prompts(POINTS, LABELS, BOXES), frame)
    assert labels.tolist() == [[1, 0, 2, 3], [1, 1, 2, 3]]
    torch.testing.assert_close(places[1, 2:], frame.normalised(torch.tensor([[100.0, 5.0], [449.0, 299.0]])))
    assert placed_points(Prompts(), frame)[0].shape == (1, 0, 2)


def test_attention_is_a_softmax_over_the_keys():
    torch.manual_seed(0)
    attention, (q, k, v) = Attention(12, 6, heads=2), torch.randn(3, 1, 5, 12)
    queries, keys, values = (
        projection(x)[0].reshape(5, 2, 3)
        for projection, x in ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v))
    )
    weights = torch.softmax(torch.einsum("qhc,khc->hqk", queries, keys) / math.sqrt(3), dim=-1)
    expected = attention.out_proj(torch.einsum("hqk,khc->qhc", weights, values).reshape(5, 6))
    torch.testing.assert_close(attention(q, k, v)[0], expected)


def test_prompts_of_a_batch_do_not_see_each_other(decoder, embedding):
    together, ious = decoder.logits(embedding, Prompts(POINTS, LABELS, BOXES), SIZE, multimask=True)
    assert together.shape == (2, 3, 256, 256) and ious.shape == (2, 3)
    alone, _ = decoder.logits(embedding, Prompts(POINTS[1:], LABELS[1:], BOXES[1:]), SIZE, multimask=True)
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-4)


def test_the_order_of_points_does_not_matter_but_their_labels_do(decoder, embedding):
    logits, _ = decoder.logits(embedding, Prompts(POINTS[:1], LABELS[:1]), SIZE)
    turned, _ = decoder.logits(embedding, Prompts(POINTS[:1].flip(1), LABELS[:1].flip(1)), SIZE)
    torch.testing.assert_close(logits, turned, atol=1e-5, rtol=1e-4)
    other, _ = decoder.logits(embedding, Prompts(POINTS[:1], 1 - LABELS[:1]), SIZE)
    assert (logits - other).abs().max() > 1e-3


def test_the_single_mask_is_the_first_and_answers_can_be_refined(decoder, embedding):
    prompts = Prompts(POINTS[:1], LABELS[:1])
    one, three = (decoder.masks(embedding, prompts, SIZE, multimask) for multimask in (False, True))
    assert one.logits.shape == (1, 1, 300, 450) and three.logits.shape == (1, 3, 300, 450)
    assert torch.equal(three.best()[0], three.logits[0, three.ious[0].argmax()] > 0)
    refined = decoder.masks(embedding, Prompts(POINTS[:1], LABELS[:1], masks=one.coarse), SIZE)
    assert (refined.coarse - one.coarse).abs().max() > 1e-3


def test_full_size_is_the_part_that_shows_the_picture():
    width, height = 400, 300  # shown as 1024 x 768
    x = torch.arange(256.0).expand(1, 256, 256)
    across, down = full_size(x, (width, height)), full_size(x.transpose(1, 2), (width, height))
    expected = ((torch.arange(width) + 0.5) * 1024 / width) / 4 - 0.5
    torch.testing.assert_close(across[0, 7, 5:-5], expected[5:-5], atol=1e-3, rtol=0)
    expected = ((torch.arange(height) + 0.5) * 768 / height) / 4 - 0.5
    torch.testing.assert_close(down[0, 5:-5, 7], expected[5:-5], atol=1e-3, rtol=0)


def test_half_precision_agrees(decoder, embedding):
    half = SamDecoder.random(seed=1).to(torch.bfloat16)
    logits, _ = decoder.logits(embedding, Prompts(boxes=BOXES), SIZE)
    rounded, _ = half.logits(embedding, Prompts(boxes=BOXES), SIZE)
    assert (logits - rounded).abs().mean() < 0.05 * logits.std()


def test_a_decoder_comes_from_the_published_file_or_says_what_is_wrong(tmp_path, decoder, embedding):
    blocks = {f"image_encoder.blocks.{index}.norm1.weight": torch.zeros(2) for index in range(12)}
    path = tmp_path / "sam.pth"
    torch.save(blocks | decoder.state_dict(), path)
    loaded = SamDecoder.load(path)
    prompts = Prompts(boxes=BOXES)
    torch.testing.assert_close(loaded.logits(embedding, prompts, SIZE), decoder.logits(embedding, prompts, SIZE))
    state = decoder.state_dict() | {"mask_decoder.extra": torch.zeros(1)}
    torch.save(blocks | state, path)
    with pytest.raises(ValueError, match="mask_decoder.extra"):
        SamDecoder.load(path)
    torch.save(decoder.state_dict(), path)
    with pytest.raises(ValueError, match="has 0 image encoder blocks"):
        SamDecoder.load(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"points": POINTS},
        {"points": POINTS, "labels": LABELS[:1]},
        {"points": POINTS[0], "labels": LABELS},
        {"boxes": BOXES[:, :3]},
        {"points": POINTS, "labels": LABELS, "boxes": BOXES[:1]},
        {"masks": torch.zeros(1, 1, 64, 64)},
    ],
)
def test_prompts_that_do_not_fit_are_one_line(wrong):
    with pytest.raises(ValueError, match="; expected "):
        Prompts(**wrong)


def test_cropped_embeddings_are_refused(decoder):
    with pytest.raises(ValueError, match="padding included"):
        decoder.masks(torch.zeros(256, 48, 64), Prompts(boxes=BOXES), SIZE)


def test_best_takes_the_mask_with_the_highest_score():
    logits = torch.stack([torch.full((1, 2), -1.0), torch.full((1, 2), 1.0)]).expand(2, 2, 1, 2)
    masks = Masks(logits, torch.tensor([[0.9, 0.1], [0.1, 0.9]]), torch.zeros(2, 2, 256, 256))
    assert masks.best().tolist() == [[[False, False]], [[True, True]]]


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        {"points": POINTS[:, :1], "labels": LABELS[:, :1]},
        {"points": POINTS, "labels": LABELS},
        {"boxes": BOXES},
        {"points": POINTS, "labels": 1 - LABELS, "boxes": BOXES},
        {"masks": torch.linspace(-3, 3, 2 * 256 * 256).reshape(2, 1, 256, 256)},
    ],
    ids=["point", "points", "box", "box and points", "mask"],
)
def test_answers_are_those_of_segment_anything(decoder, embedding, foreign, given, multimask):
    encode, decode = foreign
    scale = torch.tensor([1024 / 450, 683 / 300])
    points = (given["points"] * scale, given["labels"]) if "points" in given else None
    boxes = given["boxes"] * scale.repeat(2) if "boxes" in given else None
    with torch.no_grad():
        sparse, dense = encode(points=points, boxes=boxes, masks=given.get("masks"))
        expected = decode(embedding[None], encode.get_dense_pe(), sparse, dense, multimask)
    for ours, theirs in zip(decoder.logits(embedding, Prompts(**given), SIZE, multimask), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-6, rtol=0)


@pytest.fixture(scope="module")
def foreign(decoder):
    """Prompt encoder and mask decoder of segment-anything with the same weights."""
    sam = pytest.importorskip("segment_anything.modeling", reason="pip install segment-anything to compare with it")
    transformer = sam.TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
    encode = sam.PromptEncoder(256, (64, 64), (1024, 1024), 16)
    decode = sam.MaskDecoder(transformer_dim=256, transformer=transformer)
    encode.load_state_dict(decoder.prompt_encoder.state_dict())
    decode.load_state_dict(decoder.mask_decoder.state_dict())
    return encode.eval(), decode.eval()


def test_mask_prompts_go_through_the_convolutions(decoder):
    logits = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    added = decoder.prompt_encoder.masks(logits)
    assert added.shape == (1, 256, 64, 64)
    layers = decoder.prompt_encoder.mask_downscaling
    patch = F.conv2d(logits[..., 8:12, 20:24], layers[0].weight, layers[0].bias, stride=2)
    for norm, convolution in ((layers[1], layers[3]), (layers[4], layers[6])):
        centred = (patch - patch.mean(1, keepdim=True)) / (patch.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt()
        patch = F.gelu(centred * norm.weight[:, None, None] + norm.bias[:, None, None])
        patch = F.conv2d(patch, convolution.weight, convolution.bias, stride=convolution.stride)
    torch.testing.assert_close(added[0, :, 2, 5], patch[0, :, 0, 0], atol=1e-5, rtol=1e-4)
