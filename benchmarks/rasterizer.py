"""Times of the CUDA rasterizer against gsplat: same Gaussians, same camera, same run.

    python benchmarks/rasterizer.py --ply output/run/point_cloud/iteration_7000/point_cloud.ply --data DATA/colmap_fox
    python benchmarks/rasterizer.py                      # a synthetic cloud, without files

gsplat is called with `packed=False` and its own 32-channel chunks, as its users get it, and with all channels at once
where that works; the faster counts. Features of width 3 stand for colours on both sides.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import ndraster
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results_io import Figure, write_results
from utils.progress import say

SIZE = (1080, 1920)  # width, height of a fox photo
WIDTHS = (3, 32, 128, 256, 512)
ROUNDS = 11
IN_A_ROW = 5
VARIANTS = {
    ".features_only": {"semantic_geometry_grad": False},
    ".fp32": {"precision": "fp32"},
    ".deterministic": {"deterministic": True},
}


def synthetic_scene(count: int, device: str) -> tuple[ndraster.Gaussians, ndraster.PinholeCamera]:
    """Random anisotropic Gaussians that fill the view."""
    generator = torch.Generator().manual_seed(0)
    rand = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    means = (rand(count, 3) - 0.5) * torch.tensor([3.0, 5.0, 4.0]) + torch.tensor([0.0, 0.0, 5.0])
    quats = torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=-1)
    scales = torch.exp(torch.randn(count, 3, generator=generator) * 0.7 - 4.6)
    cloud = ndraster.Gaussians(means, quats, scales, rand(count), rand(count, 16, 3) * 0.3)
    camera = ndraster.PinholeCamera(torch.eye(4), 1700.0, 1700.0, SIZE[0] / 2, SIZE[1] / 2, *SIZE)
    return _moved(cloud, device), camera


def trained_scene(ply: Path, data: Path, device: str) -> tuple[ndraster.Gaussians, ndraster.PinholeCamera]:
    """A trained point cloud seen from the middle camera of its data set, at 1080x1920."""
    from arguments import ModelParams
    from scene import Scene
    from scene.initialization import from_ply

    cameras = Scene.open(ModelParams(source_path=str(data), eval=True), torch.device(device)).train
    camera = cameras[len(cameras) // 2].resized(*SIZE)
    model = from_ply(ply, 3, 0, device)
    return _moved(replace(model.activated(), sh=model.sh, sh_rest=None), device), camera.pinhole


def _moved(cloud: ndraster.Gaussians, device: str) -> ndraster.Gaussians:
    fields = ("means", "quats_wxyz", "scales", "opacities", "sh")
    return ndraster.Gaussians(**{f: getattr(cloud, f).detach().to(device).contiguous() for f in fields})


def scene_of(ply: Path | None, data: Path | None, count: int) -> tuple[ndraster.Gaussians, ndraster.PinholeCamera]:
    """What the command line asks for, on the GPU."""
    return trained_scene(ply, data, "cuda") if ply else synthetic_scene(count, "cuda")


def leaves(cloud: ndraster.Gaussians, width: int) -> ndraster.Gaussians:
    """Fresh leaf tensors; width 3 splats SH colours, other widths also features."""
    generator = torch.Generator(device=cloud.means.device).manual_seed(1)
    features = None
    if width != 3:
        features = torch.randn(len(cloud.means), width, generator=generator, device=cloud.means.device)
    cloud = replace(cloud, features=features)
    fields = ("means", "quats_wxyz", "scales", "opacities", "sh", "features")
    copies = {
        f: getattr(cloud, f).detach().clone().requires_grad_(True) for f in fields if getattr(cloud, f) is not None
    }
    return ndraster.Gaussians(**copies)


def our_image(g: ndraster.Gaussians, camera: ndraster.PinholeCamera, **settings: object) -> Tensor:
    """[C, H, W]"""
    settings = ndraster.Settings(**{"semantic_geometry_grad": True} | settings)
    output = ndraster.rasterize(g, camera, settings=settings, backend="cuda")
    return output.color if g.features is None else output.features


def peer_image(g: ndraster.Gaussians, camera: ndraster.PinholeCamera, chunk: int) -> Tensor:
    """[H, W, C] by gsplat."""
    from gsplat import rasterization

    device = g.means.device
    k = torch.tensor([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]], device=device)[None]
    colors, degree = (g.sh, 3) if g.features is None else (g.features, None)
    images, _, _ = rasterization(
        g.means, g.quats_wxyz, g.scales, g.opacities, colors, camera.world_to_camera.to(device)[None], k,
        camera.width, camera.height, sh_degree=degree, packed=False, channel_chunk=chunk,
    )  # fmt: skip
    return images[0]


def milliseconds(work) -> float:
    """Median GPU time of a call, by events around calls that follow each other as in a training loop."""
    for _ in range(3):
        work()
    times = []
    for _ in range(ROUNDS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        for _ in range(IN_A_ROW):
            work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / IN_A_ROW)
    return median(times)


def measure(draw, g: ndraster.Gaussians) -> tuple[float, float]:
    """(forward, forward + backward) in ms; every leaf receives a gradient."""
    with torch.no_grad():
        forward = milliseconds(lambda: draw(g))
    cotangent = torch.randn_like(draw(g))
    inputs = [t for t in (g.means, g.quats_wxyz, g.scales, g.opacities, g.sh, g.features) if t is not None]
    both = milliseconds(lambda: torch.autograd.grad(draw(g), inputs, cotangent, allow_unused=True))
    return forward, both


def compare(cloud, camera, width: int, with_peer: bool) -> list[Figure]:
    """All figures of one width."""
    g, name = leaves(cloud, width), f"raster.c{width}"
    rows = {"": measure(lambda x: our_image(x, camera), g)}
    if width != 3:
        for kind, settings in VARIANTS.items():
            rows[kind] = measure(lambda x, s=settings: our_image(x, camera, **s), g)
    if with_peer:
        chunks = (32, width) if width == 128 else (32,)  # more than 128 at once do not fit its shared memory
        rows[".gsplat"] = min((measure(lambda x, c=c: peer_image(x, camera, c), g) for c in chunks), key=lambda t: t[1])
    figures = []
    for kind, (forward, both) in rows.items():
        figures += [Figure(f"{name}.fwd{kind}", forward, "ms"), Figure(f"{name}.fwd_bwd{kind}", both, "ms")]
    if with_peer:
        ours, peer = rows[""], rows[".gsplat"]
        figures += [Figure(f"{name}.fwd.vs_gsplat", peer[0] / ours[0], "x faster")]
        figures += [Figure(f"{name}.fwd_bwd.vs_gsplat", peer[1] / ours[1], "x faster")]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ply", type=Path, help="a trained point cloud")
    parser.add_argument("--data", type=Path, help="its COLMAP data set, for the camera")
    parser.add_argument("--count", type=int, default=200_000, help="Gaussians of the synthetic cloud")
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--peer", choices=["gsplat", "none"], default="gsplat")
    args = parser.parse_args()
    cloud, camera = scene_of(args.ply, args.data, args.count)
    figures = [Figure("raster.gaussians", len(cloud.means), "")]
    for width in args.widths:
        figures += compare(cloud, camera, width, args.peer == "gsplat")
    write_results("rasterizer", figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:12.3f} {figure.unit}")


if __name__ == "__main__":
    main()
