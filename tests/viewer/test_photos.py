import torch

from tests.blobs import ring_cameras
from viewer.client_cameras import client_camera, pose_of
from viewer.photos import compared, placed


def test_a_photograph_lands_where_its_rays_are():
    view = ring_cameras(width=40, height=40)[0]
    photo = torch.zeros(3, 40, 40)
    photo[0, 10:20, 20:30] = 1.0
    canvas = client_camera(pose_of(view, 2.0), (160, 80), 0.0)  # twice as large, with room at both sides
    drawn, inside = placed(photo, view, canvas)
    assert drawn.shape == (3, 80, 160) and inside.sum() == 80 * 80
    assert inside[0, :, 40:120].all() and not inside[0, :, :40].any()
    block = drawn[0, :, 40:120]
    torch.testing.assert_close(block[22:38, 42:58], torch.ones(16, 16))
    assert float(block[:18].max()) == 0 and float(block[:, 62:].max()) == 0


def test_split_and_blend():
    render, photo = torch.zeros(3, 4, 20), torch.ones(3, 4, 20)
    inside = torch.ones(1, 4, 20)
    inside[..., :5] = 0
    split = compared(render, photo, inside, "split", 0.5)
    assert float(split[..., :5].max()) == 0 and float(split[..., 5:10].min()) == 1 and float(split[..., 12:].max()) == 0
    assert float(split[..., 11].min()) == 1  # the line
    blend = compared(render, photo, inside, "blend", 0.25)
    assert torch.equal(blend, 0.25 * inside.expand(3, -1, -1))
    assert compared(render, photo, inside, "off", 0.5) is render
