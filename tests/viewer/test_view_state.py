import torch

from viewer.view_state import Crop


def test_a_crop_box_holds_what_is_in_it():
    crop = Crop((1.0, 0.0, 0.0), (2.0, 4.0, 1.0))
    points = torch.tensor([[0.0, 2.0, 0.5], [2.0, -2.0, 0.0], [2.1, 0.0, 0.0], [1.0, 0.0, -0.6]])
    assert crop.holds(points).tolist() == [True, True, False, False]
    assert not Crop((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)).holds(points).any()
