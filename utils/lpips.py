"""LPIPS with VGG16 (Zhang et al. 2018, v0.1), from weight files on this machine; torchmetrics does the arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import load_torch

VGG_FILE = "vgg16-397923af.pth"  # torchvision's name in its cache
SLICES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # torchvision's numbers of VGG's convolutions
RANGES = ("graphdeco", "pm1")


class LpipsUnavailable(Exception):
    """LPIPS cannot be computed here; the message says why, in one line."""


class Lpips:
    """The distance of two pictures; the network is built once.

    Args:
        weights: files with VGG16 in torchvision's key layout (`features.0.weight` ...) and, in the same file or
            another, LPIPS's linear layers (`lin0.model.1.weight` ...). No file = VGG16 of torchvision's cache. Linear
            layers that no file has are those that torchmetrics brings along.
        stretch: whether pictures are stretched from 0..1 to -1..1, as LPIPS is meant ("pm1"); graphdeco does not.
        device: where the network runs.

    Raises:
        LpipsUnavailable: no torchmetrics, or nothing in torchvision's cache.
        UserError: a given file is missing or has other contents.
    """

    def __init__(self, weights: Sequence[str | Path] = (), stretch: bool = False, device: str | torch.device = "cpu"):
        files = [Path(path).expanduser() for path in weights] or [cached_vgg()]
        self.network = _build()
        load_weights(self.network, files)
        self.network.to(device)
        self.device, self.stretch = device, stretch

    @torch.no_grad()
    def __call__(self, image: Tensor, truth: Tensor) -> float:
        """LPIPS of two pictures [3, H, W] in 0..1."""
        pair = (picture[None].to(self.device) for picture in (image, truth))
        return float(self.network(*pair, normalize=self.stretch))


def cached_vgg() -> Path:
    """VGG16's file in torchvision's cache."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE
    if not path.is_file():
        raise LpipsUnavailable(f"no VGG16 weights at {path} (nothing is downloaded); --lpips_weights names a file")
    return path


def _build() -> torch.nn.Module:
    """The network with random VGG16 layers and torchmetrics' linear layers."""
    try:
        from torchmetrics.functional.image.lpips import _LPIPS as Network
    except ImportError:
        raise LpipsUnavailable("torchmetrics is missing or too old; to have it: pip install -U torchmetrics") from None
    return Network(net="vgg", pnet_rand=True).eval()


def load_weights(network: torch.nn.Module, files: Sequence[Path]) -> None:
    """Put the weights of all files into the network; VGG16 must be complete."""
    merged: dict[str, Tensor] = {}
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected weights of VGG16 or LPIPS; check --lpips_weights")
        data = load_torch(path)
        if not isinstance(data, Mapping) or not all(isinstance(value, Tensor) for value in data.values()):
            raise UserError(f"{path} holds no table of tensors; expected weights of VGG16 or LPIPS; check the file")
        merged |= data
    wanted, found = network.state_dict(), {}
    for key, source in key_table().items():
        tensor = merged.get(source)
        if tensor is None and key.startswith("lin"):
            continue
        if tensor is None or tensor.shape != wanted[key].shape:
            seen = "nothing" if tensor is None else f"shape {tuple(tensor.shape)}"
            names = ", ".join(map(str, files))
            expected = f"{tuple(wanted[key].shape)}, as in torchvision's VGG16"
            raise UserError(f"{names}: {seen} under {source}; expected {expected}; check the file")
        found[key] = tensor
    network.load_state_dict(found, strict=False)


def key_table() -> dict[str, str]:
    """Names in torchmetrics' network -> names in the published files."""
    table = {
        f"net.slice{number}.{layer}.{part}": f"features.{layer}.{part}"
        for number, layers in enumerate(SLICES, start=1)
        for layer in layers
        for part in ("weight", "bias")
    }
    return table | {f"lin{number}.model.1.weight": f"lin{number}.model.1.weight" for number in range(len(SLICES))}
