"""Pictures a second that the viewer's worker serves, packed as JPEG, of a trained model or of random Gaussians.

    python benchmarks/viewer.py -m output/run
    python benchmarks/viewer.py --random 500000

Every picture is drawn on one thread and packed on another, as for a browser: a new one is begun when the one before is
packed. Cameras go around the scene, as somebody who drags the mouse would see it. Written to results/viewer.json, with
`--name` to another file there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from arguments import ModelParams, PipelineParams, SemanticParams, ViewParams, load_config
from benchmarks.results_io import Figure, write_results
from gaussian_renderer import RenderSettings
from gaussian_renderer.trajectories import circle
from scene.cameras import Camera
from scene.formats import SplatArrays
from scene.gaussian_model import GaussianModel
from scene.selection import Selection
from utils.devices import choose_device
from utils.progress import say
from utils.work_desk import WorkDesk
from viewer.client_cameras import Surroundings, client_camera, pose_of
from viewer.panels.view import modes_of
from viewer.questions import Answer, Question
from viewer.session import Session
from viewer.source import Snapshot, Source, open_source
from viewer.web import SMALL_QUALITY

SIZES = ((1280, 720), (640, 360))
WARM_UP = 3
FEATURES = 32  # width of those of random Gaussians


def random_source(count: int, device: torch.device, folder: Path) -> Source:
    """A ball of random Gaussians, as large as those of a photographed scene."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    means = torch.nn.functional.normalize(normal(count, 3), dim=1) * torch.rand(count, 1, generator=generator) ** (
        1 / 3
    )
    spacing = (4.2 / count) ** (1 / 3)
    arrays = SplatArrays(
        means.numpy(),
        normal(count, 1, 3).numpy(),
        0.05 * normal(count, 15, 3).numpy(),
        normal(count, 1).numpy(),
        (np.log(0.6 * spacing) + 0.4 * normal(count, 3)).numpy(),
        normal(count, 4).numpy(),
        normal(count, FEATURES).numpy(),
    )
    model = GaussianModel.from_arrays(arrays, device)
    for parameter in model.params.values():
        parameter.requires_grad_(False)
    around = Surroundings.of_points(model.means)
    return Source(lambda: Snapshot(model), RenderSettings(), torch.zeros(3, device=device), folder, around)


def trained_source(model_path: str, device: str) -> Source:
    """A model folder."""
    model, pipeline, semantic = (
        load_config(model_path, group) for group in (ModelParams, PipelineParams, SemanticParams)
    )
    options = ModelParams(**(vars(model) | {"model_path": model_path, "device": device}))
    return open_source(options, pipeline, semantic, ViewParams())


def half_selected(source: Source) -> Answer:
    """A selection of every second Gaussian."""
    snapshot = source.now()
    count = len(snapshot.model)
    mask = torch.arange(count, device=snapshot.model.device) % 2 == 0
    share = mask.float()
    return Answer(Question(word="half"), Selection(mask, share, share, 0.5), torch.ones_like(share), snapshot.rows)


def around(source: Source, size: tuple[int, int], count: int) -> list[Camera]:
    """Cameras of a browser with this canvas on a circle around the scene."""
    return [client_camera(pose_of(view, size[0] / size[1]), size, view.time) for view in circle(source.vantages, count)]


def packed(pixels: np.ndarray) -> bytes:
    """JPEG, as viser packs it."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpeg", bgr, [int(cv2.IMWRITE_JPEG_QUALITY), SMALL_QUALITY])[1].tobytes()


def served_per_second(draw: Callable[[Camera], np.ndarray], cameras: Sequence[Camera]) -> tuple[float, float]:
    """Pictures a second, and kilobytes of one."""
    for camera in cameras[:WARM_UP]:
        packed(draw(camera))
    total, pending = 0, None
    with ThreadPoolExecutor(1) as packer:
        start = time.perf_counter()
        for camera in cameras:
            pixels = draw(camera)
            total += len(pending.result()) if pending is not None else 0
            pending = packer.submit(packed, pixels)
        total += len(pending.result())
        seconds = time.perf_counter() - start
    return len(cameras) / seconds, total / len(cameras) / 1000


def measure(source: Source, frames: int) -> list[Figure]:
    """Figures of every kind of picture that the model has, at all sizes."""
    session, found = Session(source, WorkDesk()), []
    answer = half_selected(source)
    kinds = [(mode, None) for mode in modes_of(source) if mode != "similarity"]
    kinds += [("marked", answer)] + ([("similarity", answer)] if "similarity" in modes_of(source) else [])
    for width, height in SIZES:
        cameras = around(source, (width, height), frames)
        for kind, selection in kinds:
            session.answer = selection
            session.change(mode="color" if kind == "marked" else kind)
            rate, size = served_per_second(session.paint, cameras)
            name = f"{width}x{height}.{kind}"
            found += [
                Figure(f"{name}.rate", round(rate, 2), "pictures/s"),
                Figure(f"{name}.size", round(size, 1), "kB"),
            ]
            say(f"{name}: {rate:.2f} pictures a second, {size:.0f} kB each")
    return found


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("-m", "--model_path", default="", help="model folder")
    chosen.add_argument("--random", type=int, default=0, help="number of random Gaussians instead")
    parser.add_argument("--frames", type=int, default=60, help="pictures of each kind")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--name", default="viewer", help="of the file in results/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        device = choose_device(options.device)
        random = options.random
        source = (
            random_source(random, device, Path(folder))
            if random
            else trained_source(options.model_path, options.device)
        )
        count = Figure("gaussians", len(source.now().model), "Gaussians")
        say(f"written: {write_results(options.name, [count, *measure(source, options.frames)])}")


if __name__ == "__main__":
    main()
