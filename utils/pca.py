"""Principal components, to show high-dimensional features as colours or to shorten them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import atomic_path

MAX_SAMPLES = 100_000
LOW_QUANTILE, HIGH_QUANTILE = 0.01, 0.99
FIELDS = ("mean", "basis", "low", "high")


@dataclass(frozen=True)
class Pca:
    """A fitted basis; `low` and `high` are the robust ends of each component, shown as 0 and 1."""

    mean: Tensor  # [D]
    basis: Tensor  # [D, k], orthonormal columns (zero where D < k)
    low: Tensor  # [k]
    high: Tensor  # [k]

    def project(self, x: Tensor) -> Tensor:
        """Coordinates [..., k] of features [..., D]."""
        if x.shape[-1] != self.mean.shape[0]:
            raise ValueError(
                f"features have width {x.shape[-1]}; this basis expects {self.mean.shape[0]}; fit it again"
            )
        return (x - self.mean.to(x)) @ self.basis.to(x)

    def apply(self, x: Tensor) -> Tensor:
        """Features [..., D] as colours [..., k] in 0..1."""
        low, high = self.low.to(x), self.high.to(x)
        return ((self.project(x) - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)

    def save(self, path: str | os.PathLike) -> None:
        """Write the basis as safetensors, atomically."""
        from safetensors.torch import save_file

        with atomic_path(path) as temp:
            save_file({name: getattr(self, name).contiguous().cpu() for name in FIELDS}, temp)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Pca:
        """Read what `save` wrote; anything else is a one-line `UserError`."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        with open(path, "rb") as file:
            data = file.read()
        try:
            tensors = load(data)
            return cls(**{name: tensors[name] for name in FIELDS})
        except (SafetensorError, KeyError) as error:
            raise UserError(f"{path} is not a saved PCA basis ({error}); delete it to have it fitted again") from None


def fit_pca(samples: Tensor, k: int = 3, seed: int = 0) -> Pca:
    """Fit `k` principal components; signs are fixed, so that equal data give equal colours.

    Args:
        samples: features [M, D]; rows that are not finite are left out, more than 100 000 rows are sub-sampled.
        k: number of components; those beyond D are zero.
        seed: of the sub-sampling.
    """
    samples = samples.detach()[torch.isfinite(samples).all(dim=1)].double().cpu()
    if samples.shape[0] == 0:
        raise UserError("PCA got no finite feature vectors; expected at least one; check the feature maps for NaN")
    if samples.shape[0] > MAX_SAMPLES:
        generator = torch.Generator().manual_seed(seed)
        samples = samples[torch.randperm(samples.shape[0], generator=generator)[:MAX_SAMPLES]]
    mean = samples.mean(dim=0)
    centred = samples - mean
    basis = leading_vectors(centred.T @ centred, k)
    low, high = _robust_range(centred @ basis)
    return Pca(mean.float(), basis.float(), low.float(), high.float())


def leading_vectors(covariance: Tensor, k: int) -> Tensor:
    """Eigenvectors [D, k] of the largest eigenvalues of a symmetric [D, D], largest first; zero columns beyond D.

    The largest entry of each is positive, so that equal data give equal vectors.
    """
    vectors = torch.linalg.eigh(covariance)[1].flip(1)[:, :k]
    peaks = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    basis = covariance.new_zeros(covariance.shape[0], k)
    basis[:, : vectors.shape[1]] = vectors * torch.where(peaks < 0, -1.0, 1.0)
    return basis


def _robust_range(values: Tensor) -> tuple[Tensor, Tensor]:
    """1 % and 99 % quantile of each column [M, k] -> [k], [k] (by sorting: torch.quantile has a size limit)."""
    ordered = values.sort(dim=0).values
    last = ordered.shape[0] - 1
    return ordered[int(last * LOW_QUANTILE)], ordered[last - int(last * (1 - HIGH_QUANTILE))]
