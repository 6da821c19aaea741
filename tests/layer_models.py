"""Models for tests of layers: the three balls, of which some are frozen behind the others."""

from __future__ import annotations

import torch

from scene.gaussian_model import GaussianModel
from scene.layers import LIST_NAMES, FrozenLayer, FrozenLayers
from tests.blobs import blob_labels, blob_model

PER_BALL = 10


def with_degree(model: GaussianModel, degree: int, seed: int = 0) -> GaussianModel:
    """The model with random coefficients up to a degree."""
    generator = torch.Generator().manual_seed(seed)
    params = {name: value.detach().clone() for name, value in model.params.items()}
    count = (degree + 1) ** 2 - 1
    params["f_rest"] = 0.3 * torch.randn(len(model), count, 3, generator=generator)
    return GaussianModel(params)


def ball(index: int, degree: int = 0) -> GaussianModel:
    """One of the balls, as a model of its own with features 4 wide."""
    model = blob_model(PER_BALL)
    return with_degree(model.subset(blob_labels(PER_BALL) == index), degree, index)


def frozen(name: str, model: GaussianModel) -> FrozenLayer:
    """A model as a finished layer."""
    return FrozenLayer(name, {key: value.detach().clone() for key, value in model.params.items()})


def layered(front_degree: int = 1, degrees: tuple[int, int] = (3, 0)) -> GaussianModel:
    """The first ball, to be trained, over the two others, which are called `old` and `new`."""
    layers = (frozen("old", ball(1, degrees[0])), frozen("new", ball(2, degrees[1])))
    return ball(0, front_degree).with_layers(FrozenLayers(layers))


def lists_of(*models: GaussianModel) -> tuple[list, ...]:
    """The tuple that Multi-Layer 3DGS saves, of models from the newest to the oldest."""
    return tuple([model.params[name] for model in models] for name in LIST_NAMES)
