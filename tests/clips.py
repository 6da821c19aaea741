"""Clips as Dynamic 3D Gaussians publishes them, for tests of what reads and writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TIMES, COUNT = 4, 9


def published(num_times: int = TIMES, count: int = COUNT) -> dict[str, np.ndarray]:
    """Arrays with the keys, shapes and ranges of the original."""
    random = np.random.default_rng(3)
    foreground = (np.arange(count) % 2).astype(np.float32)
    arrays = {
        "means3D": random.normal(size=(num_times, count, 3)),
        "rgb_colors": random.uniform(-0.1, 1.2, (num_times, count, 3)),
        "unnorm_rotations": 3 * random.normal(size=(num_times, count, 4)),
        "seg_colors": np.stack([foreground, 0 * foreground, 1 - foreground], axis=1),
        "logit_opacities": 9 * random.normal(size=(count, 1)),
        "log_scales": random.normal(size=(count, 3)) - 4,
        "cam_m": 0.1 * random.normal(size=(50, 3)),
        "cam_c": 0.1 * random.normal(size=(50, 3)),
    }
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def assert_same(path: Path, expected: dict[str, np.ndarray]) -> None:
    with np.load(path, allow_pickle=False) as found:
        assert set(found.files) == expected.keys()
        for name, value in expected.items():
            assert found[name].dtype == np.float32
            np.testing.assert_array_equal(found[name].view(np.int32), value.view(np.int32), err_msg=name)
