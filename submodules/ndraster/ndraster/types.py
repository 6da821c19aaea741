"""What goes into and comes out of `rasterize`: frozen records, checked once at the edge."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ndraster.constants import MAX_FEATURES, NEAR_DEFAULT


@dataclass(frozen=True)
class PinholeCamera:
    """A pinhole view with OpenCV axes (x right, y down, z forward); the centre of pixel (0, 0) is at (0.5, 0.5)."""

    world_to_camera: Tensor  # [4, 4] rigid, acts on column vectors; best kept on the CPU, where it is read
    fx: float  # px
    fy: float  # px
    cx: float  # px, principal point from the left edge
    cy: float  # px, principal point from the top edge
    width: int
    height: int
    packed: Tensor | None = None  # [16] float32 on the GPU: what `cuda` reads instead of pose and intrinsics above

    @cached_property
    def numbers(self) -> Tensor:
        """[16] float64 on the CPU: rows 0 to 2 of world_to_camera, then fx fy cx cy."""
        intrinsics = torch.tensor([self.fx, self.fy, self.cx, self.cy], dtype=torch.float64)
        return torch.cat([self.world_to_camera.detach()[:3].reshape(-1).cpu().double(), intrinsics])

    def resized(self, width: int, height: int) -> PinholeCamera:
        """The same view on another pixel grid: intrinsics scale with the size."""
        sx, sy = width / self.width, height / self.height
        packed = self.packed
        if packed is not None:
            packed = packed.clone()  # fx fy cx cy are the last four
            packed[12::2] *= sx
            packed[13::2] *= sy
        return replace(
            self,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
            width=width,
            height=height,
            packed=packed,
        )


@dataclass(frozen=True)
class Gaussians:
    """Activated Gaussians. Give either `sh` or `colors`; `features` may be absent."""

    means: Tensor  # [N, 3] world
    quats_wxyz: Tensor  # [N, 4] used as given: the caller normalises
    scales: Tensor  # [N, 3] standard deviations, world units
    opacities: Tensor  # [N] in [0, 1]
    sh: Tensor | None = None  # [N, K, 3] spherical-harmonic coefficients, K in {1, 4, 9, 16}
    colors: Tensor | None = None  # [N, 3] view-independent RGB instead of `sh`
    features: Tensor | None = None  # [N, D]
    sh_rest: Tensor | None = None  # [N, K - 1, 3]: all but the first, if they are kept apart; then sh is [N, 1, 3]


@dataclass(frozen=True)
class Settings:
    """How to rasterize; every default is what graphdeco's 3DGS does."""

    sh_degree: int = 3  # active degree, at most the degree stored
    antialiasing: bool = False  # scale opacity by sqrt(det C / det C') (Mip-Splatting's idea with a 0.3 px^2 blur)
    near: float = NEAR_DEFAULT  # camera z at or below which Gaussians are dropped
    scale_modifier: float = 1.0  # multiplies all scales
    semantic_geometry_grad: bool = False  # let the feature map move geometry and opacity (exact gradient)
    feature_size: tuple[int, int] | None = None  # (h, w) of the feature map; None: the camera's
    precision: Literal["fp16", "fp32"] = "fp16"  # of feature products on CUDA (sums are float); others always fp32
    deterministic: bool = False  # CUDA: same bits from the same inputs, at some cost; other backends always are
    max_instances: int = 0  # CUDA: room for so many (Gaussian, tile) pairs, the deepest beyond are dropped and nothing
    # waits for the device; 0: exactly what is needed, with one wait


@dataclass(frozen=True)
class RasterOutput:
    """Images are float [channels, H, W]; `w` below is the blending weight alpha * transmittance of a Gaussian."""

    color: Tensor  # [3, H, W] sum of w * rgb + background * (1 - alpha); not clamped
    features: Tensor | None  # [D, h, w] sum of w * feature, zero background
    depth: Tensor  # [1, H, W] sum of w * z, not divided by alpha
    inverse_depth: Tensor  # [1, H, W] sum of w / z
    alpha: Tensor  # [1, H, W] sum of w = 1 - final transmittance
    median_ids: Tensor  # [H, W] int32 index of the Gaussian that takes transmittance below 0.5; -1 none
    radii: Tensor  # [N] int32 px, 3 standard deviations rounded up; 0: not in the image
    means2d: Tensor  # [N, 2] px, no gradient of its own
    screen_probe: Tensor  # [N, 4] zeros; after backward, .grad = (dL/dx, dL/dy, sum |dL/dx|, sum |dL/dy|) per px
    means: Tensor = field(repr=False)  # [N, 3] as given, for median_depth
    camera: PinholeCamera = field(repr=False)
    instances: Tensor | None = None  # [1] int32 (Gaussian, tile) pairs that the image needs; on CUDA only

    @property
    def median_depth(self) -> Tensor:
        """Camera z [1, H, W] of the median Gaussians, 0 where there is none; differentiable in the means."""
        if self.means.shape[0] == 0:
            return self.means.new_zeros(1, *self.median_ids.shape)
        x, y, z, offset = self.camera.world_to_camera[2].tolist()
        median = self.means[self.median_ids.clamp_min(0).long()]  # [H, W, 3]
        depth = median[..., 0] * x + median[..., 1] * y + median[..., 2] * z + offset
        return torch.where(self.median_ids >= 0, depth, depth.new_zeros(()))[None]


def without_color(gaussians: Gaussians) -> Gaussians:
    """The same Gaussians in black: colour is then free of spherical harmonics and gradients."""
    return replace(gaussians, sh=None, sh_rest=None, colors=torch.zeros_like(gaussians.means))


class ShapeError(ValueError):
    """A tensor handed to ndraster has another shape, type or device than expected."""


def check_shape(name: str, tensor: Tensor, expected: tuple[int | None, ...]) -> None:
    """Raise ShapeError unless `tensor` has the expected shape (None: any size)."""
    shape = tensor.shape
    fits = len(shape) == len(expected) and all(e in (None, s) for e, s in zip(expected, shape, strict=True))
    if not fits:
        want = ", ".join("any" if e is None else str(e) for e in expected)
        raise ShapeError(f"{name} has shape {list(tensor.shape)}; expected [{want}]")


def check_inputs(gaussians: Gaussians, camera: PinholeCamera, background: Tensor | None, settings: Settings) -> None:
    """Check shapes, devices and ranges of everything `rasterize` takes."""
    n = gaussians.means.shape[0]
    check_shape("means", gaussians.means, (None, 3))
    check_shape("quats_wxyz", gaussians.quats_wxyz, (n, 4))
    check_shape("scales", gaussians.scales, (n, 3))
    check_shape("opacities", gaussians.opacities, (n,))
    check_shape("world_to_camera", camera.world_to_camera, (4, 4))
    _check_colors(gaussians, n, settings)
    if gaussians.features is not None:
        check_shape("features", gaussians.features, (n, None))
        if not 1 <= gaussians.features.shape[1] <= MAX_FEATURES:
            raise ShapeError(f"features have width {gaussians.features.shape[1]}; expected 1 to {MAX_FEATURES}")
    if background is not None:
        check_shape("background", background, (3,))
    if camera.width < 1 or camera.height < 1:
        raise ShapeError(f"camera is {camera.width}x{camera.height} px; expected at least 1x1")
    if camera.fx <= 0 or camera.fy <= 0:
        raise ShapeError(f"focal lengths are {camera.fx}, {camera.fy} px; expected positive numbers")
    if settings.precision not in ("fp16", "fp32"):
        raise ShapeError(f"precision is {settings.precision!r}; expected fp16 or fp32")
    if camera.packed is not None:
        _check_packed(camera.packed)
    if settings.max_instances < 0:
        raise ShapeError(f"max_instances is {settings.max_instances}; expected a positive number, or 0 for no limit")
    _check_same_kind(gaussians)


def _check_packed(packed: Tensor) -> None:
    check_shape("camera.packed", packed, (16,))
    if packed.dtype != torch.float32 or not packed.is_cuda:
        raise ShapeError(f"camera.packed is {packed.dtype} on {packed.device}; expected float32 on the GPU")


def _check_colors(gaussians: Gaussians, n: int, settings: Settings) -> None:
    if (gaussians.sh is None) == (gaussians.colors is None):
        raise ShapeError("Gaussians need exactly one of sh [N, K, 3] and colors [N, 3]")
    if gaussians.colors is not None:
        check_shape("colors", gaussians.colors, (n, 3))
        return
    check_shape("sh", gaussians.sh, (n, None, 3))
    stored = gaussians.sh.shape[1]
    if gaussians.sh_rest is not None:
        check_shape("sh", gaussians.sh, (n, 1, 3))
        check_shape("sh_rest", gaussians.sh_rest, (n, None, 3))
        stored += gaussians.sh_rest.shape[1]
    if stored not in (1, 4, 9, 16):
        raise ShapeError(f"sh holds {stored} coefficients; expected 1, 4, 9 or 16 (degree 0 to 3)")
    if not 0 <= settings.sh_degree <= 3 or (settings.sh_degree + 1) ** 2 > stored:
        raise ShapeError(f"sh_degree is {settings.sh_degree} but sh holds {stored} coefficients")


def _check_same_kind(gaussians: Gaussians) -> None:
    means = gaussians.means
    for name in ("quats_wxyz", "scales", "opacities", "sh", "sh_rest", "colors", "features"):
        tensor = getattr(gaussians, name)
        if tensor is not None and (tensor.device != means.device or tensor.dtype != means.dtype):
            raise ShapeError(
                f"{name} is {tensor.dtype} on {tensor.device} but means is {means.dtype} on {means.device}; "
                "expected one type and device"
            )
    if means.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"Gaussians are {means.dtype}; expected float32 (or float64 on the reference)")
