"""Feature distillation: rendered features against a teacher's map, without a full-size feature image where possible.

The definition is render, resize, decode, compare (Feature 3DGS, Zhou et al. 2024). A bilinear resize with aligned
corners reads at most four source pixels per target pixel; `sample_features` is that part.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ndraster.autograd import packed_camera
from ndraster.backends import choose_backend, has_operator
from ndraster.placement import CellGrid, read_bilinear
from ndraster.rasterize import rasterize
from ndraster.types import Gaussians, PinholeCamera, Settings, ShapeError, check_shape, without_color

Distance = Literal["l1", "l2", "cosine"]
COSINE_EPS = 1e-6  # floor of the vectors' lengths in the cosine
_DEFAULTS = Settings()


def distill_loss(
    gaussians: Gaussians,
    camera: PinholeCamera,
    teacher: Tensor,
    *,
    loss: Distance = "l1",
    decoder: tuple[Tensor, Tensor | None] | None = None,
    weight: Tensor | None = None,
    grid: CellGrid | None = None,
    settings: Settings = _DEFAULTS,
    backend: str = "auto",
) -> Tensor:
    """Scalar distance between the Gaussians' features, seen by `camera`, and a teacher's map.

    Gradients reach the features and the decoder, with `semantic_geometry_grad` also geometry and opacity.

    Args:
        gaussians: activated, with features [N, D].
        camera: the view; its size is that of the image, not of the teacher.
        teacher: [C, h, w], float of any precision.
        loss: see `feature_distance`.
        decoder: weight [C, D] and bias [C] (or None) of a linear map, applied after resizing; None: C = D.
        weight: [1, h, w] in 0..1, how much each teacher pixel counts.
        grid: where the cells of the teacher's map lie on the image; None = its corners coincide with the image's.
        settings: as for `rasterize`; `feature_size` must be None.
        backend: as for `rasterize`.

    Raises:
        ShapeError: a tensor has the wrong shape, type or device.
        BackendError: the backend is unknown, cannot be built or does not serve this device or type.
    """
    check_map("teacher", teacher, gaussians)
    _check_decoder(gaussians, teacher, decoder)
    student = sample_features(gaussians, camera, tuple(teacher.shape[1:]), settings, backend, grid)
    if decoder is not None:
        student = F.linear(student.movedim(0, -1), *decoder).movedim(-1, 0)
    return feature_distance(student, teacher.detach().to(student.dtype), loss, weight)


def sample_features(
    gaussians: Gaussians,
    camera: PinholeCamera,
    size: tuple[int, int],
    settings: Settings = _DEFAULTS,
    backend: str = "auto",
    grid: CellGrid | None = None,
) -> Tensor:
    """The rendered feature map [D, h, w], read bilinearly at the centres of a grid of cells.

    With the default grid it equals `F.interpolate(rasterize(...).features, size, mode="bilinear", align_corners=True)`;
    gradients are those of reading a full-size map.

    Args:
        gaussians: activated, with features [N, D]; colours are not looked at.
        camera: the view at the size of the image.
        size: (h, w) px of the result.
        settings: as for `rasterize`; `feature_size` must be None.
        backend: as for `rasterize`.
        grid: where the cells lie on the image; None = the corner cells lie on the corner pixels.
    """
    _check_sampling(gaussians, size, settings)
    name = choose_backend(backend, gaussians.means)
    moves_geometry = settings.semantic_geometry_grad and name == "cuda"  # for which its operator has no gradient
    sampled = _sampled_compiled if can_sample(name) and not moves_geometry else _sampled_by_resizing
    grid = grid or CellGrid.corners(size, camera)
    return sampled(without_color(gaussians), camera, size, grid, settings, name)


def feature_distance(student: Tensor, teacher: Tensor, loss: Distance = "l1", weight: Tensor | None = None) -> Tensor:
    """Scalar distance between two maps [C, h, w].

    l1, l2: mean absolute or squared difference over all elements, both maps multiplied by `weight` [1, h, w] first;
    cosine: one minus the cosine of the channel vectors, times `weight`, averaged over the pixels.
    """
    check_shape("student", student, tuple(teacher.shape))
    if weight is not None:
        check_shape("weight", weight, (1, *teacher.shape[1:]))
    if loss not in get_args(Distance):
        raise ShapeError(f"loss is {loss!r}; expected one of {', '.join(get_args(Distance))}")
    if loss == "cosine":
        distance = 1 - F.cosine_similarity(student, teacher, dim=0, eps=COSINE_EPS)  # [h, w]
        return (distance if weight is None else distance * weight[0]).mean()
    difference = student - teacher if weight is None else (student - teacher) * weight
    return difference.abs().mean() if loss == "l1" else difference.square().mean()


def can_sample(name: str) -> bool:
    """Whether a backend samples without blending every pixel; where not, `sample_features` renders and resizes."""
    return has_operator(name, "sample_forward")


def _sampled_by_resizing(
    gaussians: Gaussians, camera: PinholeCamera, size: tuple[int, int], grid: CellGrid, settings: Settings, name: str
) -> Tensor:
    rendered = rasterize(gaussians, camera, settings=settings, backend=name).features
    return read_bilinear(rendered, grid, size)


def _sampled_compiled(
    gaussians: Gaussians, camera: PinholeCamera, size: tuple[int, int], grid: CellGrid, settings: Settings, name: str
) -> Tensor:
    """[D, h, w] by the operators `sample_*` of library `name`; same arguments and result as the other way."""
    g, s = gaussians, settings
    image = (camera.width, camera.height)
    scalars = (*image, s.antialiasing, s.near, s.scale_modifier, s.precision, s.deterministic, *size, list(grid))
    call = _SampleCall(name, packed_camera(camera, name), scalars, s.semantic_geometry_grad)
    return _Sample.apply(call, g.means, g.quats_wxyz, g.scales, g.opacities, g.features)


class _SampleCall(NamedTuple):
    """The arguments of `sample_forward` that are not tensors of Gaussians."""

    name: str
    camera: Tensor  # see packed_camera
    scalars: tuple  # as in csrc/shared/schema.h, NDR_SAMPLE_SETTINGS
    geometry: bool  # whether means, quats_wxyz, scales and opacities have gradients

    @property
    def operators(self):
        return getattr(torch.ops, f"ndraster_{self.name}")


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx, call: _SampleCall, *parameters: Tensor):
        parameters = tuple(p.detach().contiguous() for p in parameters)
        sampled, lists = call.operators.sample_forward(*parameters, call.camera, *call.scalars)
        ctx.call = call
        ctx.save_for_backward(*parameters, sampled, *lists)
        return sampled

    @staticmethod
    def backward(ctx, gradient: Tensor):
        call = ctx.call
        *parameters, sampled = ctx.saved_tensors[:6]
        if call.name == "cpu":
            gradient = gradient.contiguous()
        lists = list(ctx.saved_tensors[6:])
        arguments = (*parameters, call.camera, *call.scalars, lists, sampled, gradient, call.geometry)
        *geometry, features = call.operators.sample_backward(*arguments)
        return None, *(geometry if call.geometry else (None,) * 4), features


def _check_sampling(gaussians: Gaussians, size: tuple[int, int], settings: Settings) -> None:
    if gaussians.features is None:
        raise ShapeError("Gaussians have no features; expected features [N, D]")
    if len(size) != 2 or min(size) < 1:
        raise ShapeError(f"size is {tuple(size)}; expected (h, w) of at least 1x1")
    if settings.feature_size is not None:
        raise ShapeError(f"feature_size is {settings.feature_size}; expected None: the result's size decides")


def check_map(name: str, rows: Tensor, gaussians: Gaussians) -> None:
    """Raise ShapeError unless `rows` is a float map [C, h, w] where the Gaussians are."""
    check_shape(name, rows, (None, None, None))
    if 0 in rows.shape or not rows.is_floating_point():
        raise ShapeError(f"{name} is {rows.dtype} {list(rows.shape)}; expected floats [C, h, w], none of them 0")
    if rows.device != gaussians.means.device:
        raise ShapeError(f"{name} is on {rows.device} but the Gaussians are on {gaussians.means.device}; move one")


def _check_decoder(gaussians: Gaussians, teacher: Tensor, decoder: tuple[Tensor, Tensor | None] | None) -> None:
    if gaussians.features is None:
        raise ShapeError("Gaussians have no features; expected features [N, D]")
    channels, width = teacher.shape[0], gaussians.features.shape[-1]
    if decoder is None:
        if channels != width:
            raise ShapeError(f"teacher has {channels} channels, features {width}; expected equal widths or a decoder")
        return
    weight, bias = decoder
    check_shape("decoder weight", weight, (channels, width))
    if bias is not None:
        check_shape("decoder bias", bias, (channels,))
