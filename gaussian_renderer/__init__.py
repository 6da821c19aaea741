"""From cameras and Gaussians to images: `render()` for one view, `frames.render_frames()` for many."""

from __future__ import annotations

from dataclasses import dataclass, replace

import ndraster
from ndraster import RasterOutput
from torch import Tensor

from scene.cameras import Camera
from scene.gaussian_model import GaussianModel


@dataclass(frozen=True)
class RenderSettings:
    """How one view is rendered; everything that is not the camera, the model or the background."""

    backend: str = "auto"
    """Rasterizer: auto, cuda, cpu or reference."""

    antialiasing: bool = False
    """Opacity compensation for the 0.3 px blur (Mip-Splatting's 2D filter)."""

    scale_modifier: float = 1.0
    """Factor on every Gaussian's scale."""

    with_features: bool = True
    """False skips the feature pass."""

    feature_size: tuple[int, int] | None = None
    """(height, width) of the feature map; None = the image's."""

    semantic_geometry_grad: bool = False
    """Let the feature loss move geometry and opacity too."""

    max_instances: int = 0
    """CUDA: room for so many (Gaussian, tile) pairs, without a wait for the device; 0 = as many as needed."""

    def raster_settings(self, sh_degree: int) -> ndraster.Settings:
        """The rasterizer's own settings at the active SH degree."""
        return ndraster.Settings(
            sh_degree=sh_degree,
            antialiasing=self.antialiasing,
            scale_modifier=self.scale_modifier,
            semantic_geometry_grad=self.semantic_geometry_grad,
            feature_size=self.feature_size,
            max_instances=self.max_instances,
        )


DEFAULT_SETTINGS = RenderSettings()


def first_rows(output: RasterOutput, count: int) -> RasterOutput:
    """A rendered view, after its backward pass, as the first `count` Gaussians know it; the images stay the same."""
    if len(output.radii) == count:
        return output
    probe = output.screen_probe.detach()[:count]
    gradient = output.screen_probe.grad
    probe.grad = None if gradient is None else gradient[:count]
    rows = {"radii": output.radii[:count], "means2d": output.means2d[:count], "screen_probe": probe}
    return replace(output, **rows)


def render(
    camera: Camera,
    model: GaussianModel,
    background: Tensor | None = None,  # [3], None = black
    *,
    settings: RenderSettings = DEFAULT_SETTINGS,
    features: Tensor | None = None,  # [N, D] to blend instead of the model's own
) -> RasterOutput:
    """One view of a model at the camera's time; differentiable.

    The colour image is neither clamped nor composited twice; see `ndraster.RasterOutput` for what comes back.
    """
    gaussians = model.at(camera.time)
    chosen = features if features is not None else gaussians.features
    gaussians = replace(gaussians, features=chosen if settings.with_features else None)
    raster = settings.raster_settings(model.drawn_sh_degree)
    return ndraster.rasterize(gaussians, camera.pinhole, background, raster, backend=settings.backend)
