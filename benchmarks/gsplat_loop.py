"""The peer of `benchmarks/training.py`: a plain training loop on gsplat, with its DefaultStrategy and its defaults.

It sees the same cameras, images, initial points and split as ours, and our fused SSIM (its own trainer takes one from a
package that is not on PyPI), so that the difference is rasterizer, densification and loop.
"""

from __future__ import annotations

import time

import ndraster
import torch
from torch import Tensor

from scene import Scene
from scene.gaussian_model import GaussianModel

SSIM_WEIGHT = 0.2
SH_INTERVAL = 1000
RATES = {"scales": 5e-3, "opacities": 5e-2, "quats": 1e-3, "sh0": 2.5e-3, "shN": 2.5e-3 / 20}
MEANS_RATE = 1.6e-4  # times the scene's extent, falling to a hundredth


def train(
    scene: Scene, start: GaussianModel, iterations: int, background: Tensor, seed: int
) -> tuple[float, float, int]:
    """Train from the same initial Gaussians: seconds in the loop, mean held-out PSNR (dB, clamped), Gaussians."""
    from gsplat import DefaultStrategy

    device = start.device
    params, optimizers = _parameters(start, scene.extent)
    strategy = DefaultStrategy(verbose=False)
    strategy.check_sanity(params, optimizers)
    state = strategy.initialize_state(scene_scale=scene.extent)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizers["means"], gamma=0.01 ** (1 / iterations))
    views = [(*_matrices(camera, device), scene.images.get(camera, background).image) for camera in scene.train]
    generator = torch.Generator().manual_seed(seed)
    order: list[int] = []
    _warm_up(params, *views[0], background)
    torch.cuda.synchronize()
    started = time.perf_counter()
    for step in range(iterations):
        order = order or torch.randperm(len(views), generator=generator).tolist()
        viewmat, intrinsics, truth = views[order.pop()]
        image, info = _draw(params, viewmat, intrinsics, truth.shape, background, min(step // SH_INTERVAL, 3))
        strategy.step_pre_backward(params, optimizers, state, step, info)
        l1 = (image - truth).abs().mean()
        loss = (1 - SSIM_WEIGHT) * l1 + SSIM_WEIGHT * (1 - ndraster.ssim(image, truth))
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        decay.step()
        strategy.step_post_backward(params, optimizers, state, step, info, packed=False)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return seconds, _held_out_psnr(scene, params, background, device), len(params["means"])


def _warm_up(params, viewmat: Tensor, intrinsics: Tensor, truth: Tensor, background: Tensor) -> None:
    """One forward and backward pass that leaves nothing behind: loading kernels is not part of the loop's time."""
    image, _ = _draw(params, viewmat, intrinsics, truth.shape, background, 0)
    (1 - ndraster.ssim(image, truth)).backward()
    params.zero_grad(set_to_none=True)


def _parameters(start: GaussianModel, extent: float) -> tuple[torch.nn.ParameterDict, dict]:
    source = {
        "means": start.params["xyz"],
        "scales": start.params["scaling"],
        "quats": start.params["rotation"],
        "opacities": start.params["opacity"][:, 0],
        "sh0": start.params["f_dc"],
        "shN": start.params["f_rest"],
    }
    params = torch.nn.ParameterDict({k: torch.nn.Parameter(v.detach().clone()) for k, v in source.items()})
    rates = {"means": MEANS_RATE * extent, **RATES}
    optimizers = {k: torch.optim.Adam([params[k]], lr=rates[k], eps=1e-15, fused=True) for k in source}
    return params, optimizers


def _matrices(camera, device) -> tuple[Tensor, Tensor]:
    intrinsics = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
    return camera.world_to_camera.to(device)[None], torch.tensor([intrinsics], device=device, dtype=torch.float32)


def _draw(params, viewmat: Tensor, intrinsics: Tensor, shape, background: Tensor, degree: int) -> tuple[Tensor, dict]:
    """Image [3, H, W] and gsplat's info."""
    from gsplat import rasterization

    images, _, info = rasterization(
        params["means"],
        params["quats"],
        params["scales"].exp(),
        params["opacities"].sigmoid(),
        torch.cat([params["sh0"], params["shN"]], 1),
        viewmat,
        intrinsics,
        shape[2],
        shape[1],
        sh_degree=degree,
        packed=False,
        backgrounds=background[None],
    )
    return images[0].permute(2, 0, 1), info


@torch.no_grad()
def _held_out_psnr(scene: Scene, params, background: Tensor, device) -> float:
    values = []
    for camera in scene.test:
        truth = scene.images.get(camera, background).image
        image, _ = _draw(params, *_matrices(camera, device), truth.shape, background, 3)
        values.append(-10 * torch.log10((image.clamp(0, 1) - truth).square().mean()))
    return float(torch.stack(values).mean())
