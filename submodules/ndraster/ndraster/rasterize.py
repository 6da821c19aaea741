"""The one public entry: checks its inputs, chooses a backend, assembles the output."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ndraster import reference
from ndraster.autograd import compiled_blend
from ndraster.backends import choose_backend
from ndraster.types import Gaussians, PinholeCamera, RasterOutput, Settings, check_inputs, without_color

_DEFAULTS = Settings()


def rasterize(
    gaussians: Gaussians,
    camera: PinholeCamera,
    background: Tensor | None = None,
    settings: Settings = _DEFAULTS,
    backend: str = "auto",
) -> RasterOutput:
    """Splat Gaussians into colour, depth, alpha and feature images (Kerbl et al. 2023; see docs/rasterizer.md).

    Gradients reach means, quats_wxyz, scales, opacities, sh or colors, features and background; not the camera.

    Args:
        gaussians: activated Gaussians; `features` None skips the feature pass.
        camera: pinhole view, `world_to_camera` [4, 4].
        background: [3] RGB behind everything, None for black. Features have a zero background.
        settings: active SH degree, antialiasing, near plane, feature resolution, geometry gradient of features.
        backend: auto (by the device of the Gaussians), cuda, cpu or reference.

    Raises:
        ShapeError: a tensor has the wrong shape, type or device.
        BackendError: the backend is unknown, cannot be built or does not serve this device or type.
    """
    check_inputs(gaussians, camera, background, settings)
    name = choose_backend(backend, gaussians.means)
    run = _reference_blend if name == "reference" else compiled_blend
    if name != "cuda":
        gaussians = _joined(gaussians)
    probe = _screen_probe(gaussians.means, torch.is_grad_enabled())
    main, features = _split_feature_pass(gaussians, camera, settings)
    output = run(main, camera, settings, probe, name)
    if background is not None:
        output = replace(output, color=output.color + background[:, None, None] * (1 - output.alpha))
    if features is not None:
        output = replace(output, features=_small_features(features, camera, settings, run, name))
    return output


def _screen_probe(means: Tensor, wanted: bool) -> Tensor:
    """Leaf of zeros [N, 4] that receives the screen gradients, if they are wanted."""
    return means.new_zeros(means.shape[0], 4, requires_grad=wanted)


def _joined(gaussians: Gaussians) -> Gaussians:
    """The same Gaussians with all coefficients in `sh`."""
    if gaussians.sh_rest is None:
        return gaussians
    return replace(gaussians, sh=torch.cat((gaussians.sh, gaussians.sh_rest), dim=1), sh_rest=None)


def _split_feature_pass(
    gaussians: Gaussians, camera: PinholeCamera, settings: Settings
) -> tuple[Gaussians, Gaussians | None]:
    """Features of another size than the image need a pass of their own."""
    same_size = settings.feature_size in (None, (camera.height, camera.width))
    if gaussians.features is None or same_size:
        return gaussians, None
    return replace(gaussians, features=None), gaussians


def _small_features(gaussians: Gaussians, camera: PinholeCamera, settings: Settings, run, name: str) -> Tensor:
    """Feature map [D, h, w] rendered directly on its own pixel grid, with colour left out."""
    height, width = settings.feature_size
    plain = without_color(gaussians)
    probe = _screen_probe(gaussians.means, wanted=False)
    return run(plain, camera.resized(width, height), settings, probe, name).features


def _reference_blend(
    gaussians: Gaussians, camera: PinholeCamera, settings: Settings, probe: Tensor, _name: str
) -> RasterOutput:
    projected = reference.project(gaussians, camera, settings)
    images = reference.blend(projected, gaussians.features, probe, camera, settings.semantic_geometry_grad)
    return RasterOutput(
        color=images.color,
        features=None if gaussians.features is None else images.features,
        depth=images.depth,
        inverse_depth=images.inverse_depth,
        alpha=1 - images.transmittance,
        median_ids=images.median_ids,
        radii=projected.radii,
        means2d=projected.means2d.detach(),
        screen_probe=probe,
        means=gaussians.means,
        camera=camera,
    )
