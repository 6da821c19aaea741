"""A small model written by pycolmap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.scene.small_scenes import PINHOLE


def write_reconstruction(folder: Path, names: Sequence[str]) -> None:
    """Cameras side by side that look along z, without points."""
    import pycolmap

    model, width, height, params = PINHOLE
    reconstruction = pycolmap.Reconstruction()
    reconstruction.add_camera_with_trivial_rig(
        pycolmap.Camera(model=model, width=width, height=height, params=params, camera_id=1)
    )
    for number, name in enumerate(names, start=1):
        image = pycolmap.Image(name=name, camera_id=1, image_id=number)
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(), np.array([-0.1 * number, 0, 0]))
        reconstruction.add_image_with_trivial_frame(image, pose)
    folder.mkdir(parents=True, exist_ok=True)
    reconstruction.write(folder)
