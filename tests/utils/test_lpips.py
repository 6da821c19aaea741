"""LPIPS against its formula, with random weights in the published layout."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.utils.published_vgg import COMPARED, POOLED_BEFORE, WIDTHS, linear_weights, vgg_weights
from utils.errors import UserError
from utils.lpips import VGG_FILE, Lpips, LpipsUnavailable

pytest.importorskip("torchmetrics")


def formula(image, truth, weights, linear):
    """Differences of channel-normalised features of VGG, weighted, averaged over the picture, summed over layers."""
    mean, std = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    x = (torch.stack([image, truth]) - mean[:, None, None]) / std[:, None, None]
    total = 0.0
    for layer in WIDTHS:
        x = F.max_pool2d(x, 2) if layer in POOLED_BEFORE else x
        x = F.relu(F.conv2d(x, weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"], padding=1))
        if layer in COMPARED:
            unit = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
            column = linear[f"lin{COMPARED.index(layer)}.model.1.weight"][0]
            total += float(((unit[0] - unit[1]).square() * column).sum(0).mean())
    return total


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(5)
    return torch.rand(3, 40, 52, generator=generator), torch.rand(3, 40, 52, generator=generator)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weight files: (VGG16 and linear layers in one, VGG16 alone, linear layers alone)."""
    folder, parts = (
        tmp_path_factory.mktemp("weights"),
        (vgg_weights() | linear_weights(), vgg_weights(), linear_weights()),
    )
    for number, part in enumerate(parts):
        torch.save(part, folder / f"{number}.pth")
    return [folder / f"{number}.pth" for number in range(3)]


def test_the_numbers_follow_the_formula(files, pair):
    weights, linear = vgg_weights(), linear_weights()
    plain, stretched = Lpips(files[:1]), Lpips(files[1:], stretch=True)
    assert plain(*pair) == pytest.approx(formula(*pair, weights, linear), rel=1e-4)
    wide = [2 * picture - 1 for picture in pair]
    assert stretched(*pair) == pytest.approx(formula(*wide, weights, linear), rel=1e-4)
    assert plain(pair[0], pair[0]) == 0


def test_the_cache_of_torchvision_is_found_and_linear_layers_are_brought_along(tmp_path, files, pair, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(LpipsUnavailable, match="nothing is downloaded"):
        Lpips()
    (tmp_path / "hub/checkpoints").mkdir(parents=True)
    (tmp_path / "hub/checkpoints" / VGG_FILE).symlink_to(files[1])
    assert 0 < Lpips()(*pair) != pytest.approx(Lpips(files[:1])(*pair))


def test_wrong_files_are_named(tmp_path, files):
    with pytest.raises(UserError, match="absent.pth: no such file"):
        Lpips([tmp_path / "absent.pth"])
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="no table of tensors"):
        Lpips([tmp_path / "list.pth"])
    with pytest.raises(UserError, match="nothing under features.0.weight"):
        Lpips(files[2:])
