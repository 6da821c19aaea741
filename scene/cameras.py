"""Training cameras: immutable, at the resolution of the training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import ndraster
import numpy as np
import torch
from torch import Tensor

from scene.scene_info import CameraInfo
from utils.image_io import training_size


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera in OpenCV axes, with pixel centres at +0.5.

    `info` leads to the photograph; it is None for cameras that were made up (novel views).
    """

    uid: int
    image_name: str
    world_to_camera: Tensor  # [4, 4] float32 on the CPU, column vectors
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    time: float | Tensor = 0.0  # 0..1; a number on the GPU where a CUDA graph reads it there
    info: CameraInfo | None = None
    packed: Tensor | None = None
    """[16] float32 on the GPU: pose and intrinsics that the CUDA rasterizer reads there (`ndraster.PinholeCamera`)."""
    row: Tensor | None = None
    """[1] int64 on the GPU: place among the training cameras, where a CUDA graph reads it there."""

    @classmethod
    def from_info(
        cls, info: CameraInfo, uid: int = 0, resolution: int = -1, ignore_principal_point: bool = False
    ) -> Camera:
        """The camera of a photograph at the size that the `-r` rule gives.

        Args:
            info: the photograph.
            uid: index of the camera in its scene.
            resolution: value of `--resolution`.
            ignore_principal_point: put it at the image centre, as the first 3DGS code did.
        """
        width, height = training_size(info.width, info.height, resolution)
        scale_x, scale_y = width / info.width, height / info.height
        centre = (width / 2, height / 2) if ignore_principal_point else (info.cx * scale_x, info.cy * scale_y)
        return cls(
            uid=uid,
            image_name=info.image_name,
            world_to_camera=torch.from_numpy(np.asarray(info.world_to_camera, np.float32).copy()),
            fx=info.fx * scale_x,
            fy=info.fy * scale_y,
            cx=centre[0],
            cy=centre[1],
            width=width,
            height=height,
            time=info.time,
            info=info,
        )

    @cached_property
    def center(self) -> Tensor:
        """Camera centre in world units, [3] on the CPU."""
        return -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]

    def measured(self, picture: Tensor) -> Tensor:
        """The part of a picture [C, H, W] of this view that is measured: all, or of half a test view that half."""
        if self.info is None or self.info.half != "right":
            return picture
        return picture[:, :, self.info.counted_columns(picture.shape[2])]

    def resized(self, width: int, height: int) -> Camera:
        """The same view on another pixel grid."""
        scale_x, scale_y = width / self.width, height / self.height
        return replace(
            self,
            fx=self.fx * scale_x,
            fy=self.fy * scale_y,
            cx=self.cx * scale_x,
            cy=self.cy * scale_y,
            width=width,
            height=height,
        )

    @cached_property
    def pinhole(self) -> ndraster.PinholeCamera:
        """The rasterizer's record of this camera (the pose stays on the CPU, where it is read)."""
        return ndraster.PinholeCamera(
            world_to_camera=self.world_to_camera,
            fx=self.fx,
            fy=self.fy,
            cx=self.cx,
            cy=self.cy,
            width=self.width,
            height=self.height,
            packed=self.packed,
        )


def camera_record(camera: Camera, index: int) -> dict[str, object]:
    """One entry of `cameras.json`, at the size of the data set (static 3DGS file layout).

    `rotation` is camera-to-world as a list of rows, `position` the camera centre, fx and fy are pixels.
    """
    source = camera.info or camera
    return {
        "id": index,
        "img_name": camera.image_name,
        "width": source.width,
        "height": source.height,
        "position": camera.center.tolist(),
        "rotation": camera.world_to_camera[:3, :3].T.tolist(),
        "fy": source.fy,
        "fx": source.fx,
    }
