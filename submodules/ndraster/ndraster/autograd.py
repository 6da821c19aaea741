"""The compiled backends behind one autograd function; `csrc/shared/schema.h` describes their operators."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ndraster.types import Gaussians, PinholeCamera, RasterOutput, Settings


class _Call(NamedTuple):
    """The arguments of a call that are not tensors."""

    name: str  # cpu or cuda
    camera: Tensor  # [16] float64: rows 0 to 2 of world_to_camera, then fx fy cx cy
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
    call = _Call(name, packed_camera(camera), camera.width, camera.height, settings)
    g = gaussians
    tensors = (g.means, g.quats_wxyz, g.scales, g.opacities, g.sh, g.colors, g.features, probe)
    color, depth, inverse_depth, alpha, feature_map, median_ids, radii, means2d = _Blend.apply(call, *tensors)
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
    )


def packed_camera(camera: PinholeCamera) -> Tensor:
    """The [16] float64 CPU tensor that operators take: rows 0 to 2 of world_to_camera, then fx fy cx cy."""
    packed = torch.empty(16, dtype=torch.float64)
    packed[:12] = camera.world_to_camera.detach()[:3].reshape(-1)
    packed[12:] = torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy], dtype=torch.float64)
    return packed


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, call: _Call, *tensors: Tensor | None):
        *parameters, _probe = (None if t is None else t.detach().contiguous() for t in tensors)
        outputs = call.operators.forward(*parameters, *call.arguments)
        color, depth, inverse_depth, transmittance, feature_map, median_ids, radii, means2d, lists = outputs
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(median_ids, radii, means2d)
        ctx.call = call
        ctx.save_for_backward(*parameters, *lists, color, depth, inverse_depth, transmittance, feature_map)
        return color, depth, inverse_depth, 1 - transmittance, feature_map, median_ids, radii, means2d

    @staticmethod
    def backward(ctx, g_color, g_depth, g_inverse_depth, g_alpha, g_feature_map, *_unused):
        image_gradients = (g_color, g_depth, g_inverse_depth, g_alpha, g_feature_map)
        if all(g is None for g in image_gradients):
            return (None,) * 9
        image_gradients = (None if g is None else g.contiguous() for g in image_gradients)
        saved = ctx.saved_tensors
        geometry = ctx.call.settings.semantic_geometry_grad
        parameters, lists, images = saved[:7], saved[7:-5], saved[-5:]
        arguments = (*parameters, *ctx.call.arguments, list(lists), *images, *image_gradients, geometry)
        results = ctx.call.operators.backward(*arguments)
        *others, g_features, g_probe = results
        results = (*others, None if g_feature_map is None else g_features, g_probe)
        return None, *(g if want else None for g, want in zip(results, ctx.needs_input_grad[1:], strict=True))
