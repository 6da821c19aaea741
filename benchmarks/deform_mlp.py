"""Times of the deformation network: as the original has it in float32, the same with TF32, and fused.

    python benchmarks/deform_mlp.py

One network, one moment, random points; forward without gradients, and forward with the gradients of all weights, as
calls from Python and as replays of a CUDA graph.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rasterizer import milliseconds
from benchmarks.results_io import Figure, write_results
from scene.motion.deformation_network import DeformationNetwork, Offsets
from utils.progress import say

Network = Callable[[Tensor, Tensor], Offsets]


def columns(offsets: Offsets) -> Tensor:
    """[N, 10]"""
    return torch.cat([offsets.shift, offsets.rotation, offsets.scaling], dim=1)


def as_graph(work: Callable[[], object]) -> Callable[[], None]:
    """A replay of what `work` launches."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def measure(run: Network, network: DeformationNetwork, points: Tensor, time: Tensor) -> dict[str, float]:
    """Milliseconds of forward and of both passes, eager and as a graph."""
    cotangent, parameters = torch.randn(len(points), 10, device=points.device), list(network.parameters())

    def forward() -> Tensor:
        with torch.no_grad():
            return columns(run(points, time))

    def both() -> tuple[Tensor, ...]:
        return torch.autograd.grad(columns(run(points, time)), parameters, cotangent)

    works = {"fwd": forward, "fwd_bwd": both}
    eager = {name: milliseconds(work) for name, work in works.items()}
    return eager | {f"{name}_graph": milliseconds(as_graph(work)) for name, work in works.items()}


def compare(count: int, is_blender: bool) -> list[Figure]:
    """All figures, and how far the fused outputs are from the plain ones."""
    torch.manual_seed(0)
    network = DeformationNetwork(is_blender).cuda()
    points, time = 2.6 * torch.rand(count, 3, device="cuda") - 1.3, torch.tensor(0.4, device="cuda")
    runs = {"fp32": measure(network.plainly, network, points, time), "ours": measure(network, network, points, time)}
    torch.set_float32_matmul_precision("high")
    runs["tf32"] = measure(network.plainly, network, points, time)
    torch.set_float32_matmul_precision("highest")
    figures = [Figure("dgd.deform.gaussians", count, "")]
    figures += [Figure(f"dgd.deform.{part}.{run}", ms, "ms") for run, row in runs.items() for part, ms in row.items()]
    for name, part in (("vs_fp32", "fwd_bwd"), ("vs_fp32_graph", "fwd_bwd_graph")):
        figures.append(Figure(f"dgd.deform.{name}", runs["fp32"][part] / runs["ours"][part], "x faster"))
    with torch.no_grad():
        right, ours = columns(network.plainly(points, time)), columns(network(points, time))
    return [*figures, Figure("dgd.deform.difference", ((ours - right).norm() / right.norm()).item(), "of the norm")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="Gaussians")
    parser.add_argument("--is_blender", action="store_true", help="the network of synthetic scenes")
    args = parser.parse_args()
    figures = compare(args.count, args.is_blender)
    write_results("deform_mlp", figures)
    for figure in figures:
        say(f"{figure.figure:34}{figure.value:12.4g} {figure.unit}")


if __name__ == "__main__":
    main()
