"""Gaussians for tests of splat files, and how near two sets of them are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from scene.formats import SplatArrays


def cloud(count: int = 700, degree: int = 3, feature_dim: int = 0, seed: int = 0) -> SplatArrays:
    """Splats with plausible random values, no two at one place."""
    random = np.random.default_rng(seed)
    quats = random.normal(size=(count, 4))
    values = {
        "xyz": random.normal(size=(count, 3)) * 2,
        "f_dc": random.uniform(-1.7, 1.7, (count, 1, 3)),
        "f_rest": random.normal(size=(count, (degree + 1) ** 2 - 1, 3)) * 0.3,
        "opacity": random.normal(size=(count, 1)) * 2,
        "scaling": random.normal(size=(count, 3)) - 3,
        "rotation": quats * random.uniform(0.3, 3, (count, 1)),
    }
    if feature_dim:
        values["semantic_feature"] = random.normal(size=(count, feature_dim))
    return SplatArrays(**{name: value.astype(np.float32) for name, value in values.items()})


@dataclass(frozen=True)
class Differences:
    """Largest differences between Gaussians and the nearest ones of a reference, which are all met once."""

    xyz: float
    scaling: float
    color: float  # of RGB
    opacity: float  # of 0..1
    rotation: float  # 1 - |cosine of quaternions|
    rest: float


def differences(found: SplatArrays, reference: SplatArrays) -> Differences:
    """How far a set in any order is from the reference; both have as many, and as many coefficients."""
    assert len(found) == len(reference) and found.f_rest.shape == reference.f_rest.shape
    distance, nearest = cKDTree(reference.xyz).query(found.xyz)
    assert len(set(nearest.tolist())) == len(reference), "some Gaussians are there twice"

    def largest(name: str) -> float:
        return float(np.abs(getattr(found, name) - getattr(reference, name)[nearest]).max(initial=0))

    quats = [value / np.linalg.norm(value, axis=1, keepdims=True) for value in (found.rotation, reference.rotation)]
    cosine = np.abs((quats[0] * quats[1][nearest]).sum(axis=1))
    alpha = [1 / (1 + np.exp(-value.astype(np.float64))) for value in (found.opacity, reference.opacity)]
    return Differences(
        xyz=float(distance.max()),
        scaling=largest("scaling"),
        color=largest("f_dc") * 0.28209479,
        opacity=float(np.abs(alpha[0] - alpha[1][nearest]).max()),
        rotation=float(1 - cosine.min()),
        rest=largest("f_rest"),
    )
