"""Times of the CPU backend: per tile, features, lifting and sampled maps, and against peers on the same threads.

    python benchmarks/cpu_backend.py                     # prints a table, writes benchmarks/results/cpu_backend.json

The scene is synthetic: 100 000 anisotropic log-normal Gaussians over 800x800 pixels, about 300 in a tile's list. The
reference does the same work square by square, each with its own backward pass: the graph of all at once would take some
15 GB. `cpu.c64.vs_scalar` compares with scalar_features.cpp: per pixel, per channel, without vector instructions.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter

import ndraster
import torch
import torch.nn.functional as F
from ndraster import reference
from ndraster.autograd import packed_camera
from ndraster.backends import load
from ndraster.build import compiler
from ndraster.constants import TILE
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results_io import Figure, write_results
from utils.progress import say

SIZE_PX = 800
FOCAL_PX = 880.0
SPREAD_PX = 4.6  # median standard deviation on screen
SQUARE_PX = 32  # side of what the reference blends at a time
NAMES = ("means", "quats_wxyz", "scales", "opacities", "sh")
TEACHER_WIDTH, TEACHER_STRIDE = 512, 8  # channels, and image pixels per teacher pixel, of the distillation figures


def synthetic_scene(count: int) -> tuple[ndraster.Gaussians, ndraster.PinholeCamera]:
    """Gaussians that fill the view between depths 2 and 6; half of them faint, half of any opacity."""
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(count, 6, generator=generator)
    z = uniform[:, 2] * 4 + 2
    across = (uniform[:, :2] - 0.5) * 1.1 * SIZE_PX / FOCAL_PX * z[:, None]
    scales = torch.exp(torch.randn(count, 3, generator=generator) * 0.7) * (SPREAD_PX / FOCAL_PX) * z[:, None]
    faint, any_opacity = uniform[:, 4] * 0.15 + 0.02, uniform[:, 4] * 0.9 + 0.1
    cloud = ndraster.Gaussians(
        means=torch.cat([across, z[:, None]], 1),
        quats_wxyz=torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=-1),
        scales=scales,
        opacities=torch.where(uniform[:, 5] < 0.5, faint, any_opacity),
        sh=torch.randn(count, 16, 3, generator=generator) * 0.2,
    )
    centre = SIZE_PX / 2
    return cloud, ndraster.PinholeCamera(torch.eye(4), FOCAL_PX, FOCAL_PX, centre, centre, SIZE_PX, SIZE_PX)


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median wall-clock time after one warm-up call."""
    work()
    times = []
    for _ in range(rounds):
        start = perf_counter()
        work()
        times.append(perf_counter() - start)
    return median(times)


def leaves(cloud: ndraster.Gaussians, width: int = 0) -> ndraster.Gaussians:
    """A copy that asks for gradients, with random features of the given width."""
    copy = replace(cloud, **{name: getattr(cloud, name).clone().requires_grad_(True) for name in NAMES})
    return replace(copy, features=torch.randn(len(cloud.means), width).requires_grad_(True)) if width else copy


def forward_backward(cloud: ndraster.Gaussians, view: ndraster.PinholeCamera, gradient: Tensor) -> None:
    """One training-like step of the CPU backend, colour or features by the gradient's channels."""
    settings = ndraster.Settings(semantic_geometry_grad=cloud.means.requires_grad)
    output = ndraster.rasterize(cloud, view, settings=settings, backend="cpu")
    for name in (*NAMES, "features"):
        if getattr(cloud, name) is not None:
            getattr(cloud, name).grad = None
    (output.color if cloud.features is None else output.features).backward(gradient)


def frozen(cloud: ndraster.Gaussians) -> ndraster.Gaussians:
    """The same with only features asking for gradients."""
    return replace(cloud, **{name: getattr(cloud, name).detach() for name in NAMES})


def reference_forward_backward(cloud: ndraster.Gaussians, view: ndraster.PinholeCamera, gradient: Tensor) -> None:
    """The same on the reference: project once, blend and differentiate each square, then back through projection."""
    projected = reference.project(cloud, view, ndraster.Settings())
    names = ("means2d", "conics", "opacities", "depths", "colors")
    held = projected._replace(**{name: getattr(projected, name).detach().requires_grad_(True) for name in names})
    probe = torch.zeros(len(cloud.means), 4, requires_grad=True)
    for corner in product(range(0, view.width, SQUARE_PX), range(0, view.height, SQUARE_PX)):
        (left, top), right, bottom = corner, corner[0] + SQUARE_PX, corner[1] + SQUARE_PX
        square = replace(view, width=min(right, view.width) - left, height=min(bottom, view.height) - top)
        shifted = held._replace(means2d=held.means2d - held.means2d.new_tensor(corner))
        images = reference.blend(shifted, None, probe, square, False)
        images.color.backward(gradient[:, top:bottom, left:right])
    pairs = [(getattr(projected, name), getattr(held, name).grad) for name in names]
    pairs = [(value, grad) for value, grad in pairs if grad is not None and value.requires_grad]
    torch.autograd.backward(*zip(*pairs, strict=True))


def disagreement(a: ndraster.Gaussians, b: ndraster.Gaussians) -> float:
    """Largest relative distance between the gradients of two copies of a cloud."""
    grads = [(getattr(a, name).grad, getattr(b, name).grad) for name in NAMES]
    return max(((x - y).norm() / y.norm()).item() for x, y in grads)


def rasterizer_figures(cloud: ndraster.Gaussians, view: ndraster.PinholeCamera, threads: int) -> list[Figure]:
    tiles = (view.width // TILE) * (view.height // TILE)
    gradient = torch.randn(3, view.height, view.width)
    with torch.no_grad():
        forward = seconds(lambda: ndraster.rasterize(cloud, view, backend="cpu"), 11)
    ours = leaves(cloud)
    both = seconds(lambda: forward_backward(ours, view, gradient), 7)
    once, right = leaves(cloud), leaves(cloud)
    forward_backward(once, view, gradient)
    start = perf_counter()
    reference_forward_backward(right, view, gradient)
    slow = perf_counter() - start
    return [
        Figure("cpu.threads", threads, ""),
        Figure("cpu.gaussians", len(cloud.means), ""),
        Figure("cpu.forward_us_per_tile_core", forward * threads / tiles * 1e6, "us"),
        Figure("cpu.forward", forward * 1e3, "ms"),
        Figure("cpu.forward_backward", both * 1e3, "ms"),
        Figure("cpu.reference_forward_backward", slow * 1e3, "ms"),
        Figure("cpu.vs_reference", slow / both, "x"),
        Figure("cpu.gradient_disagreement", disagreement(once, right), "relative"),
    ]


def feature_figures(cloud: ndraster.Gaussians, view: ndraster.PinholeCamera, width: int) -> list[Figure]:
    given = leaves(cloud, width)
    gradient = torch.randn(width, view.height, view.width)
    with torch.no_grad():
        forward = seconds(lambda: ndraster.rasterize(given, view, backend="cpu"), 5)
    features = seconds(lambda: forward_backward(frozen(given), view, gradient), 5)
    both = seconds(lambda: forward_backward(given, view, gradient), 5)
    return [
        Figure(f"cpu.c{width}.forward", forward * 1e3, "ms"),
        Figure(f"cpu.c{width}.forward_backward_features", features * 1e3, "ms"),
        Figure(f"cpu.c{width}.forward_backward", both * 1e3, "ms"),
    ]


class _Scene(ctypes.Structure):
    """`Scene` of scalar_features.cpp."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("splats", "ids", "ranges", "features")]
    _fields_ += [(name, ctypes.c_int) for name in ("gaussians", "channels", "width", "height", "threads")]


def scalar_library() -> ctypes.CDLL:
    """The plain loops of scalar_features.cpp, compiled without vector instructions."""
    source = Path(__file__).with_name("scalar_features.cpp")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/scalar_features.so"
        flags = ["-std=c++17", "-O2", "-fno-tree-vectorize", "-shared", "-fPIC", "-pthread"]
        subprocess.run([compiler(), *flags, str(source), "-o", path], check=True)
        return ctypes.CDLL(path)


def scalar_figures(cloud: ndraster.Gaussians, view: ndraster.PinholeCamera, width: int, threads: int) -> list[Figure]:
    """The plain loops on the backend's own lists (not timed), so they get projection and binning for nothing."""
    given, count = leaves(cloud, width), len(cloud.means)
    g, settings = frozen(given), (view.width, view.height, 3, False, 0.2, 1.0, "fp32", True, 0)
    inputs = (g.means, g.quats_wxyz, g.scales, g.opacities, g.sh, None, g.features.detach())
    *_, ours, _median, _radii, _means2d, lists = torch.ops.ndraster_cpu.forward(*inputs, packed_camera(view), *settings)
    gradient, feature_map = torch.randn(width, view.height, view.width), torch.empty_like(ours)
    g_features, g_splats = torch.zeros(threads, count, width), torch.zeros(threads, count, 6)
    pointers = [t.data_ptr() for t in (*lists, g.features)]
    scene, library = _Scene(*pointers, count, width, view.width, view.height, threads), scalar_library()
    address = [ctypes.c_void_p(t.data_ptr()) for t in (feature_map, gradient, g_features, g_splats)]

    def features_only() -> None:
        library.scalar_forward(ctypes.byref(scene), address[0])
        library.scalar_backward(ctypes.byref(scene), *address[:3], None)

    def everything() -> None:
        library.scalar_forward(ctypes.byref(scene), address[0])
        library.scalar_backward(ctypes.byref(scene), *address)

    features, both = seconds(features_only, 1), seconds(everything, 1)
    our_features = seconds(lambda: forward_backward(g, view, gradient), 5)
    our_both = seconds(lambda: forward_backward(given, view, gradient), 5)
    sums = g_features.sum(0) / 4  # four passes went in
    return [
        Figure(f"cpu.c{width}.scalar_forward_backward_features", features * 1e3, "ms"),
        Figure(f"cpu.c{width}.scalar_forward_backward", both * 1e3, "ms"),
        Figure(f"cpu.c{width}.features_vs_scalar", features / our_features, "x"),
        Figure(f"cpu.c{width}.vs_scalar", both / our_both, "x"),
        Figure(f"cpu.c{width}.scalar_disagreement", ((sums - g.features.grad).norm() / sums.norm()).item(), "relative"),
    ]


def distillation_figures(cloud: ndraster.Gaussians, view: ndraster.PinholeCamera) -> list[Figure]:
    """A step of distillation from a small teacher, sampled against rendered and resized; and one lifted view."""
    operators, size = torch.ops.ndraster_cpu, (view.height // TEACHER_STRIDE, view.width // TEACHER_STRIDE)
    given, teacher = frozen(leaves(cloud, TEACHER_WIDTH)), torch.randn(TEACHER_WIDTH, *size)
    geometry = (given.means, given.quats_wxyz, given.scales, given.opacities)
    settings = (packed_camera(view), view.width, view.height, False, 0.2, 1.0)
    call = (*geometry, given.features.detach(), *settings, "fp32", True, *size)

    def sampled() -> Tensor:
        feature_map, saved = operators.sample_forward(*call)
        return operators.sample_backward(*call, saved, feature_map, teacher, False)[-1]

    def rendered() -> Tensor:
        given.features.grad = None
        feature_map = ndraster.rasterize(given, view, backend="cpu").features
        F.interpolate(feature_map[None], size, mode="bilinear", align_corners=True)[0].backward(teacher)
        return given.features.grad

    sums, weights = torch.zeros_like(call[4]), torch.zeros(len(cloud.means))
    forward = seconds(lambda: operators.sample_forward(*call), 5)
    ours, resized = seconds(sampled, 5), seconds(rendered, 2)
    lift = seconds(lambda: operators.lift(*geometry, *settings, teacher, sums, weights), 5)
    name = f"cpu.c{TEACHER_WIDTH}.stride{TEACHER_STRIDE}"
    difference = (sampled() - rendered()).norm() / given.features.grad.norm()
    return [
        Figure(f"{name}.sample_forward", forward * 1e3, "ms"),
        Figure(f"{name}.sample_forward_backward", ours * 1e3, "ms"),
        Figure(f"{name}.render_resize_forward_backward", resized * 1e3, "ms"),
        Figure(f"{name}.sample_vs_render_resize", resized / ours, "x"),
        Figure(f"{name}.sample_disagreement", difference.item(), "relative"),
        Figure(f"{name}.lift", lift * 1e3, "ms"),
    ]


def ssim_figures() -> list[Figure]:
    image, target = torch.rand(3, SIZE_PX, SIZE_PX, requires_grad=True), torch.rand(3, SIZE_PX, SIZE_PX)
    fused = seconds(lambda: ndraster.ssim(image, target, backend="cpu").backward(), 9)
    plain = seconds(lambda: ndraster.ssim(image, target, backend="reference").backward(), 3)
    return [Figure("cpu.ssim", fused * 1e3, "ms"), Figure("cpu.ssim_vs_torch", plain / fused, "x")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads for both sides")
    parser.add_argument("--gaussians", type=int, default=100_000)
    parser.add_argument("--feature_widths", type=int, nargs="*", default=[16, 64, 128, 512], help="also time these")
    args = parser.parse_args()
    load("cpu")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cloud, view = synthetic_scene(args.gaussians)
    figures = rasterizer_figures(cloud, view, args.threads)
    for width in args.feature_widths:
        figures += feature_figures(cloud, view, width)
    figures += scalar_figures(cloud, view, 64, args.threads)
    figures += distillation_figures(cloud, view)
    figures += ssim_figures()
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:14.6g} {figure.unit}")
    say(f"written: {write_results('cpu_backend', figures)}")


if __name__ == "__main__":
    main()
