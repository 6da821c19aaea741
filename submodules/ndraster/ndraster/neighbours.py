"""Nearest-neighbour distances for the initial size of Gaussians."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

_NEIGHBOURS = 3


def mean_neighbour_distance2(points: Tensor) -> Tensor:
    """Mean squared distance [P] of each point [P, 3] to its three nearest others (0 for a lone point).

    Runs on the CPU (scipy's k-d tree, seconds for a million points); the result is on points.device.
    """
    count = points.shape[0]
    neighbours = min(_NEIGHBOURS, count - 1)
    if neighbours < 1:
        return torch.zeros(count, dtype=torch.float32, device=points.device)
    array = points.detach().cpu().double().numpy()
    distances, _ = cKDTree(array).query(array, k=neighbours + 1, workers=-1)
    squared = np.square(distances[:, 1:]).mean(axis=1)  # column 0 is the point itself
    return torch.from_numpy(squared).to(points.device, torch.float32)
