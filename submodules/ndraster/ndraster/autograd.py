"""The compiled backends behind one autograd function; `csrc/shared/schema.h` describes their operators."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ndraster.types import Gaussians, PinholeCamera, RasterOutput, Settings


class _Call(NamedTuple):
    """The arguments of a call that are not tensors."""

    name: str  # cpu or cuda
    camera: Tensor  # [16] rows 0 to 2 of world_to_camera, then fx fy cx cy; float64 on the CPU or float32 on the GPU
    width: int
    height: int
    settings: Settings

    @property
    def operators(self):
        return getattr(torch.ops, f"ndraster_{self.name}")

    @property
    def arguments(self) -> tuple:
        s = self.settings
        size = (self.width, self.height)
        return (self.camera, *size, s.sh_degree, s.antialiasing, s.near, s.scale_modifier, s.precision, s.deterministic)


def compiled_blend(
    gaussians: Gaussians, camera: PinholeCamera, settings: Settings, probe: Tensor, name: str
) -> RasterOutput:
    """Run a compiled backend; same arguments and result as the reference."""
    call = _Call(name, packed_camera(camera, name), camera.width, camera.height, settings)
    g = _shaded(gaussians, call) if name == "cuda" and gaussians.sh is not None else gaussians
    tensors = (g.means, g.quats_wxyz, g.scales, g.opacities, g.sh, g.colors, g.features, probe)
    blended = _Blend.apply(call, *tensors)
    color, depth, inverse_depth, alpha, feature_map, median_ids, radii, means2d, instances = blended
    return RasterOutput(
        color=color,
        features=None if g.features is None else feature_map,
        depth=depth,
        inverse_depth=inverse_depth,
        alpha=alpha,
        median_ids=median_ids,
        radii=radii,
        means2d=means2d,
        screen_probe=probe,
        means=g.means,
        camera=camera,
        instances=instances,
    )


def _shaded(gaussians: Gaussians, call: _Call) -> Gaussians:
    """The same Gaussians with the colours that the camera sees instead of coefficients."""
    colors = _Shade.apply(gaussians.means, gaussians.sh, gaussians.sh_rest, call.camera, call.settings.sh_degree)
    return replace(gaussians, sh=None, sh_rest=None, colors=colors)


def packed_camera(camera: PinholeCamera, name: str = "cpu") -> Tensor:
    """The [16] tensor that operators take: rows 0 to 2 of world_to_camera, then fx fy cx cy.

    float64 on the CPU; for the backend `cuda` the camera's own `packed` numbers on the GPU, if it has some.
    """
    return camera.packed if name == "cuda" and camera.packed is not None else camera.numbers


class _Shade(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means: Tensor, sh: Tensor, sh_rest: Tensor | None, camera: Tensor, degree: int) -> Tensor:
        given = [None if t is None else t.detach().contiguous() for t in (means, sh, sh_rest)]
        colors = torch.ops.ndraster_cuda.shade(*given, camera, degree)
        ctx.save_for_backward(*given, camera, colors)
        ctx.degree = degree
        return colors

    @staticmethod
    def backward(ctx, gradient: Tensor):
        *given, camera, colors = ctx.saved_tensors
        operator = torch.ops.ndraster_cuda.shade_backward
        g_means, g_sh, g_rest = operator(*given, camera, ctx.degree, colors, gradient.contiguous())
        return g_means, g_sh, None if given[2] is None else g_rest, None, None


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, call: _Call, *tensors: Tensor | None):
        *parameters, _probe = (None if t is None else t.detach().contiguous() for t in tensors)
        outputs = call.operators.forward(*parameters, *call.arguments, call.settings.max_instances)
        color, depth, inverse_depth, transmittance, feature_map, median_ids, radii, means2d, lists = outputs
        ctx.set_materialize_grads(False)
        instances = lists[-1] if call.name == "cuda" else None
        ctx.mark_non_differentiable(median_ids, radii, means2d, *([] if instances is None else [instances]))
        ctx.call = call
        ctx.save_for_backward(*parameters, *lists, color, depth, inverse_depth, transmittance, feature_map)
        return color, depth, inverse_depth, 1 - transmittance, feature_map, median_ids, radii, means2d, instances

    @staticmethod
    def backward(ctx, g_color, g_depth, g_inverse_depth, g_alpha, g_feature_map, *_unused):
        image_gradients = (g_color, g_depth, g_inverse_depth, g_alpha, g_feature_map)
        if all(g is None for g in image_gradients):
            return (None,) * 9
        if g_feature_map is not None and ctx.call.name == "cpu":  # cuda keeps feature maps as [H, W, D]
            g_feature_map = g_feature_map.contiguous()
        image_gradients = (*(None if g is None else g.contiguous() for g in image_gradients[:4]), g_feature_map)
        saved = ctx.saved_tensors
        geometry = ctx.call.settings.semantic_geometry_grad
        parameters, lists, images = saved[:7], saved[7:-5], saved[-5:]
        arguments = (*parameters, *ctx.call.arguments, list(lists), *images, *image_gradients, geometry)
        results = ctx.call.operators.backward(*arguments)
        *others, g_features, g_probe = results
        results = (*others, None if g_feature_map is None else g_features, g_probe)
        return None, *(g if want else None for g, want in zip(results, ctx.needs_input_grad[1:], strict=True))
