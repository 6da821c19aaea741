"""Makes videos of pictures that are there already: of new camera paths, and of segmentations along them.

    python videos.py --data output/run --iteration 7000 -f lseg

Reads <model>/<path>/ours_<iteration>*/{renders,feature_map,labels} and <model>/*seg_*<iteration>*/; writes
<model>/videos_<iteration>/*.mp4. Which folder becomes which video: docs/render.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from arguments import SemanticParams, VideoParams, load_config, parse
from gaussian_renderer.camera_paths import FOLDERS
from utils.errors import UserError
from utils.image_io import read_image
from utils.progress import say, set_quiet, warn
from utils.script import run
from utils.video import VideoWriter

KINDS = {"renders": "", "feature_map": "_fmap", "labels": "_labels"}  # folder -> end of the video's name
SPLITS = ("train", "test", "novel_views")
TAIL_NAMES = {"fmap_CxHxW": "", "feature_vis": ""}  # ends of file names that say nothing
Clip = tuple[str, list[Path]]  # name without .mp4, frames


def main(args: Sequence[str] | None = None) -> None:
    """Make all videos of one saved step; `args` stands in for the command line."""
    (options,) = parse("Make videos of rendered pictures.", VideoParams, args=args)
    set_quiet(options.quiet)
    model_path = Path(options.data)
    iteration = newest_iteration(model_path) if options.iteration == -1 else options.iteration
    clips = [*path_clips(model_path, iteration), *segmentation_clips(model_path, iteration, teacher_of(options))]
    if not clips:
        raise no_views(model_path, iteration)
    target = model_path / f"videos_{iteration}"
    for name, frames in clips:
        write_video(target / f"{name}.mp4", frames, options.fps)
    say(f"{len(clips)} videos in {target}")


def newest_iteration(model_path: Path) -> int:
    """The newest saved step of which there are views of a new path."""
    names = [path.name for folder in FOLDERS for path in model_path.glob(f"{folder}/ours_*")]
    found = [int(match[1]) for name in names if (match := re.match(r"ours_(\d+)", name))]
    if not found:
        raise no_views(model_path, -1)
    return max(found)


def no_views(model_path: Path, iteration: int) -> UserError:
    """The error that there is nothing to make a video of."""
    if not model_path.is_dir():
        return UserError(f"{model_path}: no such folder; expected a model folder of train.py; check --data")
    which = "" if iteration == -1 else f" of iteration {iteration}"
    cure = f"run: python render.py -m {model_path} --novel_view"
    return UserError(f"{model_path}: no views of a new path{which}; expected novel_views/ours_*; {cure}")


def teacher_of(options: VideoParams) -> str:
    """The teacher given, or else the model's; empty when neither is known."""
    if options.foundation_model:
        return options.foundation_model
    try:
        return load_config(options.data, SemanticParams).foundation_model
    except ValueError:  # pictures may come without a model
        return ""


def path_clips(model_path: Path, iteration: int) -> Iterator[Clip]:
    """Every method folder of this step in every folder of new paths; those of novel_views/ by their own name."""
    for folder in FOLDERS:
        for method in sorted((model_path / folder).glob(f"ours_{iteration}*")):
            if not is_of(method.name, iteration):
                continue
            name = method.name if folder == "novel_views" else f"{folder}_{method.name}"
            for kind, end in KINDS.items():
                frames = sorted((method / kind).glob("*.png"))
                if frames:
                    yield name + end, frames


def segmentation_clips(model_path: Path, iteration: int, teacher: str) -> Iterator[Clip]:
    """Segmentations of this step: of their novel views, or with `sam` of each split."""
    for folder in sorted(model_path.glob(f"*seg_*{iteration}*")):
        if not folder.is_dir() or not is_of(folder.name, iteration):
            continue
        for split in SPLITS if teacher == "sam" else ("novel_views",):
            name = f"{folder.name}_{split.split('_')[-1]}" if teacher == "sam" else folder.name
            for end, frames in kinds_of(sorted((folder / split).glob("*.png"))).items():
                yield name + end, frames


def is_of(name: str, iteration: int) -> bool:
    """Whether the number stands in a folder's name by itself: `ours_300`, `seg_300_labels`, not `ours_3000`."""
    return re.search(rf"(?<!\d){iteration}(?!\d)", name) is not None


def kinds_of(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Pictures of one folder by what follows the number in their names, e.g. masks "" and overlays "_vis".

    Legends are left out: they are no frames.
    """
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        *numbered, tail = re.split(r"\d+", path.name.removesuffix(".png"))
        tail = tail.replace(".png", "").strip("_") if numbered else ""
        for known, name in TAIL_NAMES.items():
            tail = tail.replace(known, name).strip("_")
        if tail != "legend":
            kinds.setdefault(f"_{tail}" if tail else "", []).append(path)
    return kinds


def write_video(path: Path, frames: Sequence[Path], fps: int) -> None:
    """One mp4 of the frames that have the most frequent size; odd sizes are padded by a row or column."""
    sizes = [picture_size(frame) for frame in frames]
    (size, count), *_ = Counter(sizes).most_common(1)
    if count < len(frames):
        warn(f"{path.name}: {len(frames) - count} of {len(frames)} pictures are not {size[0]}x{size[1]} px; left out")
    with VideoWriter(path, fps) as video:
        for frame, own in zip(frames, sizes, strict=True):
            if own == size:
                video.add(read_image(frame)[..., :3])
    say(f"{path}: {count} frames")


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) in px from the file's header."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, ValueError):
        raise UserError(f"{path} is not a readable image; expected a PNG; render it again") from None


if __name__ == "__main__":
    run(main)
