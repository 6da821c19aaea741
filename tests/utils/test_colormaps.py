import torch

from utils.colormaps import TURBO, depth_limits, depth_to_image, palette, turbo


def test_turbo_runs_from_blue_to_red_within_bounds():
    colors = turbo(torch.tensor([[-1.0, 0.15, 0.5, 0.85, 2.0, torch.nan]]))
    assert colors.shape == (3, 1, 6) and colors.min() >= 0 and colors.max() <= 1
    assert [int(colors[:, 0, i].argmax()) for i in (1, 2, 3)] == [2, 1, 0]
    assert torch.equal(colors[:, 0, 5], turbo(torch.zeros(1, 1))[:, 0, 0])


def test_turbo_is_the_published_polynomial():
    x = torch.rand(3, 5, dtype=torch.float64)
    exact = torch.stack([sum(c * x**power for power, c in enumerate(row)) for row in TURBO]).clamp(0, 1)
    torch.testing.assert_close(turbo(x).double(), exact, atol=2e-5, rtol=0)


def test_depth_picture_near_is_red_far_is_blue_empty_is_black():
    depth = torch.linspace(1, 10, 100).reshape(1, 10, 10)
    alpha = torch.ones(1, 10, 10)
    alpha[0, 5, 5] = 0.0
    picture = depth_to_image(depth * alpha, alpha)
    assert picture[0, 0, 5] > picture[2, 0, 5] and picture[2, 9, 5] > picture[0, 9, 5]
    assert (picture[:, 5, 5] == 0).all()


def test_depth_picture_does_not_depend_on_alpha_or_scale():
    depth, alpha = torch.rand(1, 8, 8) + 1, torch.rand(1, 8, 8) * 0.5 + 0.5
    torch.testing.assert_close(depth_to_image(depth * alpha, alpha), depth_to_image(depth), atol=1e-4, rtol=0)
    torch.testing.assert_close(depth_to_image(depth * 7), depth_to_image(depth), atol=1e-4, rtol=0)


def test_limits_of_large_maps_are_those_of_all_their_values():
    near, far = depth_limits(torch.rand(1000, 1000, generator=torch.Generator().manual_seed(0)) + 1)
    assert abs(near - 1.01) < 0.002 and abs(far - 1.99) < 0.002
    assert depth_limits(torch.tensor([3.0])) == (3.0, 3.0)


def test_depth_picture_of_nothing_is_black():
    assert (depth_to_image(torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)) == torch.zeros(3, 3, 4)).all()
    assert torch.isfinite(depth_to_image(torch.full((1, 2, 2), torch.inf))).all()
    assert torch.isfinite(depth_to_image(torch.ones(1, 2, 2))).all()


def test_palette_is_stable_and_distinct():
    colors = palette(24)
    assert colors.shape == (24, 3) and palette(0).shape == (0, 3)
    assert torch.equal(palette(5), colors[:5])
    distances = torch.cdist(colors, colors) + torch.eye(24)
    assert distances.min() > 0.08
