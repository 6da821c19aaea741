"""A decoder with random weights, whose answers are as good as any for comparisons."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from encoders.sam_net.decoder import SamDecoder


@pytest.fixture(scope="session")
def decoder() -> SamDecoder:
    return SamDecoder.random(seed=1)


@pytest.fixture(scope="session")
def embedding() -> Tensor:
    """[256, 64, 64]."""
    return torch.randn(256, 64, 64, generator=torch.Generator().manual_seed(2))
