import torch

from encoders.dinov2_net.network import build_network
from encoders.dinov3 import Dinov3Teacher


def test_the_network_takes_any_number_of_patches():
    teacher = Dinov3Teacher(tokens_long=5)
    with torch.device("meta"):
        maps = build_network(teacher.spec, teacher.native).eval()
        assert teacher.encode(maps, torch.zeros(1, 3, 48, 80)).shape == (1, teacher.dim, 3, 5)


def test_positions_are_timms():
    assert Dinov3Teacher().options()["pos_interp"] == "timm"
