import pytest
import torch
import torch.nn.functional as F

from encoders.sam_net.frame import Frame
from encoders.sam_net.rendered import cell_weights, rendered_embedding, sample_cells, token_embedding

SHAPES = [(900, 600), (1920, 1080), (540, 960), (800, 600)]


def smooth_teacher(channels: int = 12) -> torch.Tensor:
    """A map [C, 64, 64] of standard deviation 0.87 that varies over some cells, like an embedding."""
    noise = torch.randn(channels, 64, 64, generator=torch.Generator().manual_seed(0))
    for _ in range(6):
        noise = F.avg_pool2d(F.pad(noise[None], (2, 2, 2, 2), mode="circular"), 5, stride=1)[0]
    return 0.87 * noise / noise.std()


def rendered_from(teacher: torch.Tensor, frame: Frame, width: int, height: int) -> torch.Tensor:
    """The teacher's map [C, height, width] read linearly at the centres of a picture's pixels."""
    x = (torch.arange(width) + 0.5) / width * frame.shown[0] / 1024 * 2 - 1
    y = (torch.arange(height) + 0.5) / height * frame.shown[1] / 1024 * 2 - 1
    places = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
    return F.grid_sample(teacher[None], places[None], align_corners=False, padding_mode="border")[0]


@pytest.mark.parametrize("size", SHAPES)
def test_teacher_to_pixels_and_back_is_nearly_the_teacher(size):
    frame, teacher = Frame(*size), smooth_teacher()
    columns, rows = frame.cells
    expected = teacher[:, :rows, :columns]
    rendered = rendered_from(teacher, frame, size[0] // 2, size[1] // 2)
    error = (sample_cells(rendered, frame) - expected).abs().mean()
    legacy = F.interpolate(rendered[None], (rows, columns), mode="bilinear", align_corners=True)[0]
    assert error < 0.015
    assert error < 0.4 * (legacy - expected).abs().mean()
    at_centres = sample_cells(rendered, frame, average=False)
    assert (at_centres - expected).abs().mean() < 0.004


@pytest.mark.parametrize("average", [True, False])
def test_weights_are_shares(average):
    weights = cell_weights(43, 683, 301, average)
    torch.testing.assert_close(weights.sum(1), torch.ones(43, dtype=torch.float64))
    assert (weights >= 0).all()


def test_fine_maps_are_averaged_over_the_cell():
    rendered = torch.randn(1, 1, 192, generator=torch.Generator().manual_seed(0))  # 3 pixels a cell
    across = cell_weights(64, 1024, 192)
    torch.testing.assert_close((rendered[0].double() @ across.T)[0], rendered.reshape(64, 3).mean(1).double())


def test_coarse_maps_are_interpolated_at_the_centres():
    frame, rendered = Frame(640, 640), torch.randn(3, 20, 30, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(rendered[None], (64, 64), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(sample_cells(rendered, frame), expected, atol=1e-5, rtol=1e-4)


def test_constant_maps_stay_constant_and_padding_is_filled():
    rendered, padding = torch.ones(256, 50, 90), torch.full((256, 64, 64), -2.0)
    embedding = rendered_embedding(rendered, (1920, 1080), padding)
    torch.testing.assert_close(embedding[:, :36], torch.ones(256, 36, 64))
    assert (embedding[:, 36:] == -2).all() and (padding == -2).all()
    assert (rendered_embedding(rendered, (1920, 1080))[:, 36:] == 0).all()


def test_cells_can_be_given_as_they_are():
    tokens = torch.randn(256, 64, 36)
    embedding = token_embedding(tokens, (1080, 1920))
    assert torch.equal(embedding[:, :, :36], tokens) and not embedding[:, :, 36:].any()
    with pytest.raises(ValueError, match=r"\(256, 64, 36\)"):
        token_embedding(tokens[:, 1:], (1080, 1920))


@pytest.mark.parametrize("shape", [(512, 4, 4), (256, 4), (256, 0, 4)])
def test_maps_of_other_widths_are_one_line(shape):
    with pytest.raises(ValueError, match=r"expected \(256, h, w\)"):
        rendered_embedding(torch.zeros(shape), (64, 64))
