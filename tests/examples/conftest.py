"""One tiny data set of every kind, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.make_scene import SceneOptions, make

SIZE = (64, 48)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind -> folder."""
    root = tmp_path_factory.mktemp("scenes")
    made = {}
    for kind in ("static", "static_blender", "dynamic", "rig"):
        made[kind] = root / kind
        make(SceneOptions(kind, made[kind], SIZE, views=6, cameras=4, frames=2, samples=1))
    return made
