"""Times of the rigidity losses with their gradients, and of the search for neighbours.

    python benchmarks/rigidity.py

The losses in three forms: as the method's publication has them (rotation matrices expanded over the neighbours and
multiplied pair by pair), our plain PyTorch, and fused; as calls from Python and as replays of a CUDA graph.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ndraster
import torch
from ndraster import Neighbourhood
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.deform_mlp import as_graph
from benchmarks.rasterizer import milliseconds
from benchmarks.results_io import Figure, write_results
from utils.progress import say

WEIGHTS = (4.0, 4.0, 2.0)  # of rigid, rot and iso
Losses = Callable[[], Tensor]


def quaternion_product(a: Tensor, b: Tensor) -> Tensor:
    """[F, 4], component by component."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def rotation_matrices(quats: Tensor) -> Tensor:
    """[F, 3, 3] of unit quaternions."""
    w, x, y, z = quats.unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def plain_losses(
    means: Tensor, quats: Tensor, previous_quats: Tensor, previous_offsets: Tensor, hood: Neighbourhood
) -> Tensor:
    """The losses as the formulas read: a matrix and a small product for each pair."""
    neighbours, (count, width) = hood.indices.long(), hood.indices.shape
    turns = quaternion_product(quats, torch.cat([previous_quats[:, :1], -previous_quats[:, 1:]], dim=1))
    matrices = rotation_matrices(turns).transpose(1, 2)[:, None].expand(count, width, 3, 3).reshape(-1, 3, 3)
    offsets = means[neighbours] - means[:, None]
    turned = torch.bmm(matrices, offsets.reshape(-1, 3, 1)).view(count, width, 3)
    rigid = (((turned - previous_offsets) ** 2).sum(-1) * hood.weights + 1e-20).sqrt().mean()
    rot = (((turns[neighbours] - turns[:, None]) ** 2).sum(-1) * hood.weights + 1e-20).sqrt().mean()
    lengths = ((offsets**2).sum(-1) + 1e-20).sqrt()
    iso = ((lengths - hood.distances) ** 2 * hood.weights + 1e-20).sqrt().mean()
    return torch.stack([rigid, rot, iso])


def unit(quats: Tensor) -> Tensor:
    return torch.nn.functional.normalize(quats, dim=-1)


def body(count: int, width: int) -> tuple:
    """Arguments of the losses: a ball of half a metre that a step of time turned, moved and bent a little."""
    torch.manual_seed(0)
    before = 0.5 * unit(torch.randn(count, 3)) * torch.rand(count, 1) ** (1 / 3)
    before = before.cuda()
    indices, distances = ndraster.nearest_neighbours(before, width)
    hood = Neighbourhood.of(indices, torch.exp(-2000 * distances**2), distances)
    previous_quats = unit(torch.randn(count, 4, device="cuda"))
    quats = unit(previous_quats + 0.02 * torch.randn_like(previous_quats)).requires_grad_(True)
    means = (before + 0.01 + 0.002 * torch.randn_like(before)).requires_grad_(True)
    return means, quats, previous_quats, before[indices] - before[:, None], hood


def with_gradients(losses: Losses, inputs: tuple[Tensor, Tensor]) -> Callable[[], tuple[Tensor, ...]]:
    """Work that evaluates the weighted sum and both gradients."""
    weights = torch.tensor(WEIGHTS, device="cuda")
    return lambda: torch.autograd.grad((losses() * weights).sum(), inputs)


def compare(count: int, width: int) -> list[Figure]:
    """Times of all forms, and how far their gradients are apart."""
    given = body(count, width)
    forms = {
        "plain": lambda: plain_losses(*given),
        "reference": lambda: ndraster.rigidity_losses(*given, backend="reference"),
        "fused": lambda: ndraster.rigidity_losses(*given, backend="cuda"),
    }
    works = {name: with_gradients(form, given[:2]) for name, form in forms.items()}
    eager = {name: milliseconds(work) for name, work in works.items()}
    graph = {name: milliseconds(as_graph(work)) for name, work in works.items()}
    with torch.no_grad():
        forward = milliseconds(as_graph(forms["fused"]))
    figures = [Figure("tracking.rigidity.pairs", count * width, "")]
    figures += [Figure(f"tracking.rigidity.{name}_ms", ms, "ms") for name, ms in eager.items()]
    figures += [Figure(f"tracking.rigidity.{name}_graph_ms", ms, "ms") for name, ms in graph.items()]
    figures += [
        Figure("tracking.rigidity.fused_forward_graph_ms", forward, "ms"),
        Figure("tracking.rigidity.vs_plain", eager["plain"] / eager["fused"], "x faster"),
        Figure("tracking.rigidity.vs_plain_graph", graph["plain"] / graph["fused"], "x faster"),
    ]
    pairs = zip(works["fused"](), works["plain"](), strict=True)
    apart = max(((ours - right).norm() / right.norm()).item() for ours, right in pairs)
    return [*figures, Figure("tracking.rigidity.difference", apart, "of the norm")]


def search(count: int, width: int) -> list[Figure]:
    """Seconds of the search on the GPU and by scipy's k-d tree."""
    points = body(count, width)[0].detach()
    on_gpu = milliseconds(lambda: ndraster.nearest_neighbours(points, width)) / 1000
    points = points.cpu()
    start = time.perf_counter()
    ndraster.nearest_neighbours(points, width)
    on_cpu = time.perf_counter() - start
    return [
        Figure("tracking.knn.seconds", on_gpu, "s"),
        Figure("tracking.knn.scipy_seconds", on_cpu, "s"),
        Figure("tracking.knn.vs_scipy", on_cpu / on_gpu, "x faster"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50_000, help="Gaussians of the foreground")
    parser.add_argument("--neighbours", type=int, default=20, help="of each")
    args = parser.parse_args()
    figures = compare(args.count, args.neighbours) + search(args.count, args.neighbours)
    write_results("rigidity", figures)
    for figure in figures:
        say(f"{figure.figure:42}{figure.value:12.4g} {figure.unit}")


if __name__ == "__main__":
    main()
