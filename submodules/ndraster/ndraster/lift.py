"""Features without training: each Gaussian gets the blend-weighted mean of the teacher's maps over all views.

    features_k = sum over views and pixels of w_k(p) t(p) / sum of w_k(p)

with the blending weights w of the rasterizer and the teacher's map t read bilinearly at the image's pixels. It is the
first step of a diagonally preconditioned solver of `render(features) = t`, and a mean, so it never leaves the range of
the teacher.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ndraster.autograd import packed_camera
from ndraster.backends import choose_backend, has_operator
from ndraster.distill import check_map
from ndraster.placement import CellGrid, read_bilinear
from ndraster.rasterize import rasterize
from ndraster.types import Gaussians, PinholeCamera, Settings, ShapeError, check_inputs, without_color

CHUNK = 64  # channels that the generic way blends at a time
_DEFAULTS = Settings()

View = tuple[PinholeCamera, Tensor] | tuple[PinholeCamera, Tensor, CellGrid]


@dataclass(frozen=True)
class Lifted:
    """What all views together say about each Gaussian."""

    features: Tensor  # [N, C] weighted mean of the teacher; 0 for Gaussians that no view sees
    weights: Tensor  # [N] sum of blending weights, in pixels


def lift(
    gaussians: Gaussians,
    views: Iterable[View],
    settings: Settings = _DEFAULTS,
    backend: str = "auto",
) -> Lifted:
    """Lift teacher maps [C, h, w] of several views into features [N, C] of Gaussians that stand still.

    Args:
        gaussians: activated; their own features are not looked at.
        views: camera at the size of its image, the teacher's map of that image, and perhaps where the map's cells lie
            on it (without: the corners coincide).
        settings: as for `rasterize`.
        backend: as for `rasterize`.

    Raises:
        ShapeError: there is no view, or a map has another width or place than expected.
        BackendError: the backend is unknown, cannot be built or does not serve this device or type.
    """
    running: FeatureLift | None = None
    for camera, teacher, *grid in views:
        running = running or FeatureLift(gaussians, teacher.shape[0], settings, backend)
        running.add(camera, teacher, None, *grid)
    if running is None:
        raise ShapeError("lift got no view; expected at least one (camera, teacher map [C, h, w])")
    return running.finish()


class FeatureLift:
    """The sums of a lift, one view at a time; for moving Gaussians, or to look at the sums on the way.

    Args:
        gaussians: activated; their number, type and device decide the sums'.
        channels: C of the teacher's maps.
        settings: as for `rasterize`.
        backend: as for `rasterize`.
    """

    def __init__(self, gaussians: Gaussians, channels: int, settings: Settings = _DEFAULTS, backend: str = "auto"):
        self._gaussians = _frozen(gaussians)
        self._settings = replace(settings, feature_size=None, semantic_geometry_grad=False)
        self._name = choose_backend(backend, gaussians.means)
        count = gaussians.means.shape[0]
        self.sums = gaussians.means.new_zeros(count, channels)  # [N, C]
        self.weights = gaussians.means.new_zeros(count)  # [N]

    @torch.no_grad()
    def add(
        self,
        camera: PinholeCamera,
        teacher: Tensor,
        gaussians: Gaussians | None = None,
        grid: CellGrid | None = None,
    ) -> None:
        """Add a view.

        Args:
            camera: at the size of its image.
            teacher: [C, h, w], the map of that image.
            gaussians: where they are now, if they moved.
            grid: where the map's cells lie on the image; None = its corners coincide with the image's.
        """
        now = self._gaussians if gaussians is None else _frozen(gaussians)
        check_map("teacher", teacher, now)
        check_inputs(now, camera, None, self._settings)
        if (now.means.shape[0], teacher.shape[0]) != self.sums.shape:
            seen = f"{now.means.shape[0]} Gaussians and {teacher.shape[0]} channels"
            raise ShapeError(
                f"this view has {seen}; expected {' and '.join(map(str, self.sums.shape))} as at the start"
            )
        add = _add_compiled if has_operator(self._name, "lift") else _add_by_gradients
        pixels = (grid or CellGrid.corners(tuple(teacher.shape[1:]), camera)).inverse()
        add(now, camera, self._settings, self._name, teacher.detach(), pixels, self.sums, self.weights)

    def finish(self) -> Lifted:
        """The weighted means. They take the place of the sums, so that wide features are held only once."""
        seen = self.weights > 0
        self.sums.div_(torch.where(seen, self.weights, torch.ones_like(self.weights))[:, None])
        lifted = Lifted(self.sums, self.weights)
        self.sums, self.weights = torch.zeros_like(self.sums[:0]), torch.zeros_like(self.weights[:0])
        return lifted


def _add_compiled(
    gaussians: Gaussians,
    camera: PinholeCamera,
    settings: Settings,
    name: str,
    teacher: Tensor,  # [C, h, w]
    pixels: CellGrid,  # where the image's pixels lie on the map
    sums: Tensor,  # [N, C] added to
    weights: Tensor,  # [N] added to
) -> None:
    """One view by the operator `lift`: scan, and one product with the teacher's map."""
    g = gaussians
    tensors = (x.contiguous() for x in (g.means, g.quats_wxyz, g.scales, g.opacities))
    size = (camera.width, camera.height)
    scalars = (*size, settings.antialiasing, settings.near, settings.scale_modifier)
    operators = getattr(torch.ops, f"ndraster_{name}")
    rows = teacher.to(sums.dtype).contiguous()
    operators.lift(*tensors, packed_camera(camera), *scalars, rows, list(pixels), sums, weights)


def _add_by_gradients(
    gaussians: Gaussians,
    camera: PinholeCamera,
    settings: Settings,
    name: str,
    teacher: Tensor,  # [C, h, w]
    pixels: CellGrid,  # where the image's pixels lie on the map
    sums: Tensor,  # [N, C] added to
    weights: Tensor,  # [N] added to
) -> None:
    """One view on any backend: blending is linear in the features, so its gradient is the transposed product."""
    size, channels = (camera.height, camera.width), teacher.shape[0]
    for start in range(0, channels, CHUNK):
        rows = teacher[start : start + CHUNK].to(sums.dtype)
        image = read_bilinear(rows, pixels, size)
        if start == 0:
            image = torch.cat([image, image.new_ones(1, *size)])
        found = _transposed_blend(gaussians, camera, settings, name, image)
        width = len(rows)
        sums[:, start : start + width] += found[:, :width]
        if start == 0:
            weights += found[:, width]


def _transposed_blend(
    gaussians: Gaussians, camera: PinholeCamera, settings: Settings, name: str, image: Tensor
) -> Tensor:
    """Sum over pixels of w_k(p) image(p), [N, c], of an image [c, H, W]."""
    leaf = gaussians.means.new_zeros(gaussians.means.shape[0], image.shape[0]).requires_grad_(True)
    with torch.enable_grad():
        blended = rasterize(replace(gaussians, features=leaf), camera, settings=settings, backend=name).features
    return torch.autograd.grad(blended, leaf, image)[0]


def _frozen(gaussians: Gaussians) -> Gaussians:
    """Black Gaussians without features or gradients."""
    plain = replace(without_color(gaussians), features=None)
    names = ("means", "quats_wxyz", "scales", "opacities", "colors")
    return replace(plain, **{name: getattr(plain, name).detach() for name in names})
