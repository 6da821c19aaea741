"""scene/cleaning.py"""

import torch

from scene.cleaning import LEAST_WEIGHT_PX, Evidence, expendable, strays


def cloud(count: int, scale: float, seed: int) -> torch.Tensor:
    return scale * torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def test_a_point_far_from_all_others_is_a_stray():
    means = torch.cat([cloud(300, 1.0, 0), torch.tensor([[60.0, 0.0, 0.0]])])
    found = strays(means)
    assert bool(found[-1]) and int(found.sum()) <= 3


def test_a_sparse_background_stays():
    """A hundred times as sparse as the middle, but of its own kind everywhere."""
    means = torch.cat([cloud(300, 1.0, 0), cloud(300, 100.0, 1)])
    assert int(strays(means)[300:].sum()) < 12


def test_strays_do_not_depend_on_the_scale_of_the_world():
    means = torch.cat([cloud(200, 1.0, 0), torch.tensor([[30.0, 5.0, 0.0]])])
    assert torch.equal(strays(means), strays(1000 * means))


def test_few_points_are_no_strays():
    for count in (0, 1, 2):
        assert not strays(cloud(count, 1.0, 0)).any()


def test_what_is_expendable():
    means = cloud(100, 1.0, 0)
    opacities, weight, front = torch.full((100,), 0.2), torch.full((100,), 9.0), torch.zeros(100)
    weight[0] = 0.5 * LEAST_WEIGHT_PX
    front[1:3] = 0.9
    opacities[2] = 0.9  # a thin thing before a wall
    found = expendable(means, opacities, Evidence(weight, front))
    assert found[:3].tolist() == [True, True, bool(strays(means)[2])]
    assert torch.equal(found[3:], strays(means)[3:])
