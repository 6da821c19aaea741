"""Times of what features cost beyond an image: a distillation step and lifting, 512 channels, on CUDA.

    python benchmarks/feature_path.py --ply output/run/point_cloud/iteration_7000/point_cloud.ply --data DATA/colmap_fox
    python benchmarks/feature_path.py                    # a synthetic cloud, without files

A step is: the loss (L1) of one view against a teacher's map of random values, its gradient for the features, and Adam
on all of them; geometry stands still. Lifting adds the same view fifty times.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import ndraster
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rasterizer import leaves, milliseconds, scene_of
from benchmarks.results_io import Figure, write_results
from utils.progress import say

CHANNELS = 512
VIEWS = 50
STRIDES = (8, 16)  # px of the image per teacher pixel


def teacher_map(camera: ndraster.PinholeCamera, stride: int) -> Tensor:
    """Random [C, h, w], stored [h, w, C] as teachers' maps on the GPU are."""
    height, width = camera.height // stride, camera.width // stride
    return torch.randn(height, width, CHANNELS, device="cuda").permute(2, 0, 1)


def distillation(cloud: ndraster.Gaussians, camera: ndraster.PinholeCamera, stride: int) -> list[Figure]:
    """Step time, and memory beyond parameters, gradients, moments and the teacher's map."""
    features = leaves(cloud, CHANNELS).features
    gaussians = replace(cloud, features=features)
    teacher = teacher_map(camera, stride)
    optimizer = torch.optim.Adam([features], lr=1e-3, fused=True)

    def step() -> None:
        ndraster.distill_loss(gaussians, camera, teacher).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    torch.cuda.synchronize()
    held = torch.cuda.memory_allocated() + features.numel() * 4  # and the gradients
    torch.cuda.reset_peak_memory_stats()
    time = milliseconds(step)
    extra = (torch.cuda.max_memory_allocated() - held) / 1e9
    name = f"distill.c{CHANNELS}.stride{stride}"
    return [Figure(f"{name}.step_ms", time, "ms"), Figure(f"{name}.extra_memory", extra, "GB")]


def lifting(cloud: ndraster.Gaussians, camera: ndraster.PinholeCamera, stride: int) -> Figure:
    """Seconds of GPU time for all views."""
    teacher = teacher_map(camera, stride)
    time = milliseconds(lambda: ndraster.lift(cloud, [(camera, teacher)] * VIEWS)) / 1000
    return Figure(f"lift.c{CHANNELS}.{VIEWS}views_s.stride{stride}", time, "s")


def slowest(figures: list[Figure], part: str) -> float:
    """The largest value of the figures with `part` in their name: a claim holds for every stride."""
    return max(figure.value for figure in figures if part in figure.figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ply", type=Path, help="a trained point cloud")
    parser.add_argument("--data", type=Path, help="its COLMAP data set, for the camera")
    parser.add_argument("--count", type=int, default=200_000, help="Gaussians of the synthetic cloud")
    args = parser.parse_args()
    cloud, camera = scene_of(args.ply, args.data, args.count)
    figures = [Figure("feature_path.gaussians", len(cloud.means), "")]
    for stride in STRIDES:
        figures += distillation(cloud, camera, stride)
        figures.append(lifting(cloud, camera, stride))
    figures.append(Figure("distill.c512.step_ms", slowest(figures, "step_ms"), "ms"))
    figures.append(Figure("lift.c512.50views_s", slowest(figures, "views_s"), "s"))
    write_results("feature_path", figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:12.3f} {figure.unit}")


if __name__ == "__main__":
    main()
