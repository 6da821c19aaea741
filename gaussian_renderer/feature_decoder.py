"""The linear decoder from the D feature channels that are splatted to the C channels of the teacher."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from utils.errors import UserError
from utils.files import load_torch, save_torch


def decoder_path(model_path: str | Path, iteration: int) -> Path:
    """Where the decoder of one saved iteration lives (the file name of Feature-3DGS)."""
    return Path(model_path) / f"decoder_chkpnt{iteration}.pth"


class LinearDecoder(nn.Module):
    """y = W f + b from a latent of width D to the teacher's width C.

    A linear map commutes with alpha blending, so the same decoder serves rendered maps and single Gaussians:
    decoding a blended map differs from blending decoded Gaussians only by (1 - alpha) b.
    """

    def __init__(self, feature_dim: int, teacher_dim: int):
        super().__init__()
        self.linear = nn.Linear(feature_dim, teacher_dim)

    @property
    def feature_dim(self) -> int:
        """D, the width of the splatted features."""
        return self.linear.in_features

    @property
    def teacher_dim(self) -> int:
        """C, the width of the teacher's features."""
        return self.linear.out_features

    def forward(self, features: Tensor) -> Tensor:
        """Decode rows [N, D] -> [N, C], a map [D, h, w] -> [C, h, w] or maps [B, D, h, w] -> [B, C, h, w]."""
        if features.ndim == 2:
            return self.linear(features)
        return self.linear(features.movedim(-3, -1)).movedim(-1, -3)

    @torch.no_grad()
    def metric_root(self) -> Tensor:
        """Matrix R [D + 1, D + 1] with |R [f, 1]| = |W f + b| and equal inner products.

        Cosines in the teacher's space are thus computed exactly at the latent's cost, without a single C-wide row:
        R is the square root of the Gram matrix [W b]^T [W b], taken in float64.
        """
        affine = torch.cat([self.linear.weight, self.linear.bias[:, None]], dim=1).double()
        values, vectors = torch.linalg.eigh(affine.T @ affine)
        root = vectors * values.clamp_min(0.0).sqrt() @ vectors.T
        return root.to(self.linear.weight.dtype)

    def save(self, path: str | Path) -> None:
        """Write `{conv.weight [C, D, 1, 1], conv.bias [C]}`, the 1x1 convolution that Feature-3DGS stores."""
        weight = self.linear.weight.detach().cpu()[:, :, None, None].clone()
        save_torch(path, {"conv.weight": weight, "conv.bias": self.linear.bias.detach().cpu().clone()})

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> LinearDecoder:
        """Read what `save` (or Feature-3DGS) wrote."""
        state = load_torch(path)
        weight, bias = _checked_state(state, path)
        decoder = cls(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            decoder.linear.weight.copy_(weight)
            decoder.linear.bias.copy_(bias)
        return decoder.to(device)


def _checked_state(state: object, path: str | Path) -> tuple[Tensor, Tensor]:
    """Weight [C, D] and bias [C] of a decoder file, or one line that says what is wrong with it."""
    weight = state.get("conv.weight") if isinstance(state, dict) else None
    bias = state.get("conv.bias") if isinstance(state, dict) else None
    if not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
        raise UserError(f"{path}: no decoder in it; expected the tensors conv.weight and conv.bias; train again")
    weight = weight.flatten(1).float() if weight.ndim >= 2 else weight
    if weight.ndim != 2 or bias.shape != weight.shape[:1]:
        shapes = f"conv.weight {tuple(weight.shape)}, conv.bias {tuple(bias.shape)}"
        raise UserError(f"{path}: {shapes}; expected [C, D, 1, 1] and [C]; train again")
    return weight, bias.float()
