"""Rigs of cameras: quality of held-out views, tracks, time and size of every recipe.

    python benchmarks/tracking.py --scene procedural=DATA/tumble --scene basketball=DATA/panoptic_basketball_dev

Each recipe trains each scene alone with `train.py --eval`; `compat` is Dynamic 3D Gaussians as it was published. Where
the scene has true tracks, `track.py --evaluate` follows its points from where they are first seen. `--cameras 6 4`
trains with so many of the training cameras.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from arguments import ModelParams, load_config  # noqa: E402
from benchmarks.results_io import Figure, write_results  # noqa: E402
from benchmarks.rigs import with_fewer_cameras  # noqa: E402
from benchmarks.runs import Run, script  # noqa: E402
from gaussian_renderer import RenderSettings  # noqa: E402
from gaussian_renderer.speed import frames_per_second  # noqa: E402
from gaussian_renderer.trained import open_trained  # noqa: E402
from utils.files import read_json, read_jsonl  # noqa: E402
from utils.progress import say  # noqa: E402

RECIPES = {"tracking": [], "mask_free": ["--mask_free"], "compat": ["--preset", "d3dg_compat"]}
HEADLINE = ("procedural", "tracking")  # scene and recipe of tracking.procedural.mte_percent
MEGABYTE = 1e6


def train(run: Run, words: list[str]) -> list[Figure]:
    """Train; quality of the held-out cameras at all moments, time in the loop and size on disk."""
    flags = [*RECIPES[run.recipe], "--max_drop_db", "0", *words]
    script("train.py", "-s", run.source, "-m", run.model, "--eval", *flags)
    records = read_jsonl(run.model / "metrics.jsonl")
    test = [record for record in records if record["split"] == "test"][-1]
    moments = [record for record in records if record["split"] == "moment"]
    first, last = moments[0]["seconds"], moments[-1]["seconds"]
    tracks = sum(path.stat().st_size for path in run.model.glob("deform/*/tracks/*"))
    return [
        run.figure("psnr", test["psnr"], "dB"),
        run.figure("ssim", test["ssim"], ""),
        run.figure("first_moment_seconds", first, "s"),
        run.figure("seconds_per_moment", (last - first) / max(len(moments) - 1, 1), "s"),
        run.figure("gaussians", test["count"], ""),
        run.figure("tracks_size", tracks / MEGABYTE, "MB"),
    ]


def render_speed(run: Run) -> Figure:
    """Images a second over the held-out views."""
    trained = open_trained(load_config(run.model, ModelParams))
    return run.figure(
        "render_fps",
        frames_per_second(trained.scene.test, trained.model, trained.background, RenderSettings()),
        "images/s",
    )


def tracks(run: Run) -> list[Figure]:
    """Errors of the tracks of what moves, where the true ones are known."""
    truth = run.source / "tracks_gt.npz"
    if not truth.is_file():
        return []
    script("track.py", "-m", run.model, "--evaluate", truth, "--skip_video", "--name", "truth")
    found = read_json(run.model / "tracks" / "truth" / "results.json")["moving_percent"]
    figures = [run.figure(f"moving_{name}", value, "% of size") for name, value in found.items()]
    if (run.scene, run.recipe) == HEADLINE:
        figures.append(Figure("tracking.procedural.mte_percent", found["MTE"], "% of size"))
    return figures


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--cameras", nargs="*", type=int, default=[0], help="training cameras; 0 = all")
    parser.add_argument("--train", default="", help="further words for every training, in quotes")
    parser.add_argument("--models", type=Path, help="folder of the models, which are kept there")
    parser.add_argument("--name", default="tracking", help="of the file with the results")
    options = parser.parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for scene, source in (text.split("=", 1) for text in options.scene):
            for count in options.cameras:
                data = Path(source).resolve()
                data = with_fewer_cameras(data, Path(folder) / f"{scene}{count}", count) if count else data
                for recipe in options.recipes:
                    name = f"{scene}{count}" if count else scene
                    run = Run("tracking", name, recipe, data, (options.models or Path(folder)) / f"{name}-{recipe}")
                    figures += [*train(run, options.train.split()), render_speed(run), *tracks(run)]
                    write_results(options.name, figures)
    for figure in figures:
        say(f"{figure.figure:52}{figure.value:12.4g} {figure.unit}")


if __name__ == "__main__":
    main()
