"""Label maps: numbers, colours, and that blending scores is scoring blended features."""

import torch

from gaussian_renderer import render
from gaussian_renderer.frames import Frame
from gaussian_renderer.label_pictures import (
    LabelField,
    any_label_picture,
    color_picture,
    membership_field,
    number_picture,
    overlay_picture,
)
from tests.blobs import REFERENCE, blob_labels, blob_model, ring_cameras
from utils.image_io import to_uint8

NAMES = ("one", "two", "three")


def frame_of(field, camera=None):
    camera = camera or ring_cameras(1)[0]
    with torch.no_grad():
        return Frame(0, camera, render(camera, blob_model(), settings=REFERENCE, features=field.scores))


def test_blended_scores_name_the_pixels_as_blended_features_do():
    model, camera = blob_model(), ring_cameras(3)[1]
    words = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    field = LabelField(model.features.detach() @ words.T, ("a", "b", "c", "d", "e"))
    with torch.no_grad():
        output = render(camera, model, settings=REFERENCE)
    expected = torch.einsum("kd,dhw->khw", words, output.features).argmax(0) + 1
    solid = output.alpha[0] > 0.5
    numbers = field.numbers(frame_of(field, camera))
    assert torch.equal(numbers[solid], expected[solid]) and not numbers[~solid].any()


def test_numbers_survive_the_way_to_bytes_and_nothing_stays_nothing():
    field = membership_field(torch.tensor([0, 1, 3])[blob_labels()], NAMES)
    frame = frame_of(field)
    numbers = field.numbers(frame)
    assert set(numbers.unique().tolist()) <= {0, 1, 3}
    assert (to_uint8(number_picture(field)(frame))[..., 0] == numbers.numpy()).all()
    assert torch.equal(any_label_picture(field)(frame)[0] > 0, numbers > 0)
    assert field.of_gaussians().tolist() == torch.tensor([0, 1, 3])[blob_labels()].tolist()


def test_gaussians_that_were_never_seen_have_no_label():
    field = LabelField(torch.tensor([[0.0, 0.0], [-0.2, -0.1], [0.3, 0.1]]), NAMES[:2])
    assert field.of_gaussians().tolist() == [0, 2, 1]


def test_colours_are_those_of_the_palette_and_the_overlay_leaves_the_rest():
    palette = torch.eye(3)
    field = membership_field(blob_labels() + 1, NAMES)
    frame = frame_of(field)
    numbers, colors = field.numbers(frame), color_picture(field, palette)(frame)
    for index in range(3):
        assert (colors[:, numbers == index + 1] == palette[index][:, None]).all()
    changed = (overlay_picture(field, palette)(frame) - frame.color).abs().amax(0) > 1e-5
    assert not changed[numbers == 0].any() and changed[numbers > 0].float().mean() > 0.9
