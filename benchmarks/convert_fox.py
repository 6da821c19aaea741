"""convert.py on real photos: how many get a camera, how long it takes, and what the cameras are worth in training.

    python benchmarks/convert_fox.py --data DATA --scratch output/fox                     # convert, three times
    python benchmarks/convert_fox.py --data DATA --scratch output/fox --train 7000        # and compare trainings

DATA holds `fox_ngp` (50 photos) and `colmap_fox` (the same with a given model, before and after undistortion). What the
scratch folder holds already is used as it is, so that the trainings can run on another machine.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.results_io import Figure, write_results
from benchmarks.runs import script
from scene.datasets.pictures import pictures_in
from utils.files import read_json, read_jsonl
from utils.image_io import read_image
from utils.progress import say
from utils.video import VideoWriter

FPS = 10
SMEAR_PX = 15  # motion blur of every second frame of the video


def convert_photos(data: Path, folder: Path) -> None:
    """From nothing but photos."""
    script("convert.py", "-s", data / "fox_ngp/images", "-o", folder, "--resize")


def convert_video(data: Path, folder: Path) -> None:
    """From a video that shows each photo twice, once smeared; half of the frames are asked for."""
    photos = pictures_in(data / "fox_ngp/images")
    film = folder.parent / "fox.mp4"
    with VideoWriter(film, FPS) as video:
        for number, path in enumerate(photos):
            sharp = read_image(path)[..., :3]
            pair = [sharp, smeared(sharp)]
            for frame in pair if number % 2 else pair[::-1]:
                video.add(frame)
    script("convert.py", "--video", film, "-o", folder, "--num_frames", str(len(photos)))


def smeared(image: np.ndarray) -> np.ndarray:
    """A picture uint8 [H, W, 3] with sideways motion blur."""
    return cv2.blur(image, (SMEAR_PX, 1))


def convert_known(data: Path, folder: Path) -> None:
    """From photos whose distorted cameras are given."""
    shutil.copytree(data / "fox_ngp/images", folder / "input", copy_function=shutil.copyfile)
    shutil.copytree(data / "colmap_fox/distorted", folder / "distorted", copy_function=shutil.copyfile)
    script("convert.py", "-s", folder, "--skip_matching")


CASES = {"fox": convert_photos, "fox_video": convert_video, "fox_known": convert_known}


def conversion_figures(name: str, folder: Path) -> list[Figure]:
    """What convert.py noted about a data set."""
    record = read_json(folder / "convert.json")
    seconds = record["seconds"]
    figures = [
        Figure(f"convert.{name}.photos", record["photos"], ""),
        Figure(f"convert.{name}.registered", record["registered"], ""),
        Figure(f"convert.{name}.points", record["points"], ""),
        Figure(f"convert.{name}.error", record["mean_error_px"], "px"),
        Figure(f"convert.{name}.minutes", sum(seconds.values()) / 60, "min"),
    ]
    figures += [
        Figure(f"convert.{name}.seconds.{step.replace(' ', '_')}", value, "s") for step, value in seconds.items()
    ]
    if name == "fox_video":
        numbers = [int(path.stem) for path in pictures_in(folder / "input")]
        sharp = [number % 2 == (number // 2 + 1) % 2 for number in numbers]
        figures.append(Figure(f"convert.{name}.sharp_share", float(np.mean(sharp)), ""))
    return figures


def train(source: Path, model: Path, iterations: int, extra: list[str]) -> float:
    """Held-out PSNR in dB of a training."""
    words = ["-s", source, "-m", model, "--eval", "--iterations", str(iterations), "--test_iterations", str(iterations)]
    script("train.py", *words, "--save_iterations", str(iterations), "--disable_viewer", *extra)
    return [record["psnr"] for record in read_jsonl(model / "metrics.jsonl") if record["split"] == "test"][-1]


def training_figures(data: Path, scratch: Path, iterations: int, extra: list[str]) -> list[Figure]:
    """The converted data set against the given one, same photos held out."""
    sources = {"": scratch / "fox", "_given": data / "colmap_fox", "_known": scratch / "fox_known"}
    psnr = {
        name: train(source, scratch / f"model{name}", iterations, extra)
        for name, source in sources.items()
        if source.is_dir()
    }
    figures = [Figure(f"convert.fox.psnr{name}", value, "dB") for name, value in psnr.items()]
    figures.append(Figure("convert.fox.iterations", iterations, ""))
    return [*figures, Figure("convert.fox.delta_db", psnr[""] - psnr["_given"], "dB")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with fox_ngp and colmap_fox")
    parser.add_argument("--scratch", type=Path, required=True, help="folder for results; converted ones in it are used")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES), help="what is converted")
    parser.add_argument("--train", type=int, default=0, help="iterations of the trainings that are compared; 0 = none")
    parser.add_argument("--results", default="convert_fox", help="name of the file in benchmarks/results")
    parser.add_argument("--train_args", nargs=argparse.REMAINDER, default=[], help="further flags for train.py")
    args = parser.parse_args()
    args.scratch.mkdir(parents=True, exist_ok=True)
    figures = []
    for name in args.cases:
        folder = args.scratch / name
        if not (folder / "sparse").is_dir():
            say(f"{name}: converting")
            CASES[name](args.data, folder)
        figures += conversion_figures(name, folder)
    if args.train:
        figures += training_figures(args.data, args.scratch, args.train, args.train_args)
    write_results(args.results, figures)
    for figure in figures:
        say(f"{figure.figure:50}{figure.value:12.3f} {figure.unit}")


if __name__ == "__main__":
    main()
