"""Photos or a video become a data set of pinhole photos with cameras and points."""

from __future__ import annotations

import difflib
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from arguments.convert_params import ConvertParams
from capture.colmap_tools import SfmTool, Workspace, choose_tool
from capture.pairs import choose_matcher, sequence_pairs
from capture.photos import DISTORTED, INPUT, Photos, Places, check_masks, find_places, list_photos, missing_of
from capture.results import ResultFolder
from capture.undistorted import SMALLER, make_smaller, make_transparent, undistort_into, undistort_masks
from capture.video_frames import take_frames
from scene.datasets.colmap import choose_model, model_folders
from scene.datasets.colmap_model import CAMERA_MODELS, count_images, read_cameras, read_images, read_points3d
from scene.datasets.pictures import few
from scene.datasets.times import FILE_NAME as TIMES_FILE
from scene.datasets.times import numbers_from_names
from utils.errors import UserError
from utils.files import write_json
from utils.progress import format_seconds, say, warn

FEW_SHARE = 0.8  # of the photos; fewer registered ones get advice
LARGE_ERROR_PX = 1.5  # mean reprojection error from which on it is said
MIN_PHOTOS = 3
ALL_PARTS = (*(f"images_{divisor}" for divisor in SMALLER), "masks", TIMES_FILE, "images", "sparse")


@dataclass
class Conversion:
    """One run: what it reads, where it writes, and what was found on the way."""

    options: ConvertParams
    places: Places
    results: ResultFolder
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Take and say the time of a step."""
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start
        say(f"{name}: {format_seconds(self.seconds[name])}")


def convert_photos(options: ConvertParams) -> None:
    """Make the data set that the options ask for."""
    check_options(options)
    places = find_places(options)
    run = Conversion(options, places, ResultFolder(places.output, options.overwrite))
    check_targets(run)
    tool = choose_tool(options.colmap_executable, not options.no_gpu)
    run.facts["tool"] = tool.name
    with run.results.staging() as staging:
        photos = video_photos(run, staging) if places.video else list_photos(places.photos)
        say(f"{len(photos)} photos, {_sizes(photos)}; {tool.name}")
        masks = check_masks(photos, Path(options.mask_folder).expanduser()) if options.mask_folder else {}
        if not options.skip_matching:
            run.results.place(find_cameras(run, tool, photos, masks, staging), places.distorted.name)
        model = judge(run, photos)
        make_data_set(run, tool, photos, masks, model, staging)
    run.results.finish(run.facts | {"seconds": run.seconds})
    say_next(run)


def check_options(options: ConvertParams) -> None:
    """Refuse what makes no sense for photos."""
    known = [name for name, _ in CAMERA_MODELS]
    if options.camera not in known:
        nearest = difflib.get_close_matches(options.camera.upper(), known, n=1, cutoff=0.0)[0]
        raise UserError(f"--camera is {options.camera}; did you mean {nearest}? COLMAP knows {', '.join(known)}")
    if options.resize:
        raise UserError(f"--resize is {options.resize}; expected no numbers for photos: 1/2, 1/4, 1/8 are made")
    if options.max_num_features < 100:
        raise UserError(f"--max_num_features is {options.max_num_features}; expected 100 or more; change it")


def check_targets(run: Conversion) -> None:
    """Find out before the long work whether its results have a place."""
    if run.options.skip_matching and run.places.video:
        raise UserError("--skip_matching is for photos whose cameras are known, a video makes new ones; leave one away")
    if run.places.video:
        run.results.check_free([INPUT], "leave --video away to use these photos")
    if run.options.skip_matching:
        if not model_folders(run.places.distorted):
            wanted = f"{run.places.distorted}/sparse/0 with a COLMAP model"
            raise UserError(f"--skip_matching needs {wanted}, which is missing; put it there, or leave the flag away")
    else:
        run.results.check_free([DISTORTED], "add --skip_matching to go on from there")
    run.results.check_free(part_names(run.options))


def part_names(options: ConvertParams) -> list[str]:
    """Parts of the finished data set; `sparse`, by which it is known, comes last."""
    is_left_out = {
        "masks": not options.mask_folder or options.mask_mode != "occluder",
        TIMES_FILE: not options.times,
        **{f"images_{divisor}": options.resize is None for divisor in SMALLER},
    }
    return [name for name in ALL_PARTS if not is_left_out.get(name, False)]


def video_photos(run: Conversion, staging: Path) -> Photos:
    """Frames of the video as `input/`."""
    options, video = run.options, run.places.video
    with run.stage("frames"):
        take_frames(video, staging / INPUT, options.num_frames, options.fps)
    run.results.place(staging / INPUT, INPUT)
    return list_photos(run.places.photos)


def find_cameras(run: Conversion, tool: SfmTool, photos: Photos, masks: Mapping[str, Path], staging: Path) -> Path:
    """Structure from motion; returns a folder with `database.db` and the models `sparse/0`, largest first, ..."""
    if len(photos) < MIN_PHOTOS:
        raise UserError(f"{photos.folder}: {len(photos)} photos; expected {MIN_PHOTOS} or more that overlap; add some")
    folder, options = staging / DISTORTED, run.options
    folder.mkdir()
    no_points = linked_masks(masks, staging / "masks_of_photos") if masks else None
    work = Workspace(
        folder / "database.db", photos.folder, photos.groups, options.camera, options.max_num_features, no_points
    )
    with run.stage("points in photos"):
        tool.extract(work)
    matcher = choose_matcher(options.matcher, len(photos), run.places.video is not None)
    run.facts["matcher"] = matcher
    with run.stage(f"{matcher} comparison"):
        tool.match(work, sequence_pairs(photos.names) if matcher == "sequential" else None)
    with run.stage("cameras"):
        tool.map(work, staging / "models")
    if not order_models(staging / "models", folder / "sparse"):
        raise UserError(f"{photos.folder}: no cameras were found; {advice(run)}")
    return folder


def linked_masks(masks: Mapping[str, Path], folder: Path) -> Path:
    """The masks under the names that COLMAP looks for, `<name>.png`."""
    for name, path in masks.items():
        link = folder / f"{name}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.write_bytes(path.read_bytes())
    return folder


def order_models(found: Path, folder: Path) -> int:
    """Move the models that were found to `folder/0` (the most photos), `folder/1`, ...; returns how many."""
    models = [path for path in found.iterdir() if any((path / f"images.{end}").is_file() for end in ("bin", "txt"))]
    folder.mkdir(parents=True)
    for number, model in enumerate(sorted(models, key=count_images, reverse=True)):
        model.rename(folder / str(number))
    return len(models)


def judge(run: Conversion, photos: Photos) -> Path:
    """Choose the largest model, and say how good it is."""
    model, notes = choose_model(run.places.distorted)
    for note in notes:
        warn(note)
    names = [image.name for image in read_images(model)]
    if absent := missing_of(names, photos):
        raise UserError(f"{photos.folder}: {len(absent)} photos of the model are missing ({few(absent)}); add them")
    left_out = sorted(set(photos.names) - set(names))
    run.facts |= {"photos": len(photos), "registered": len(names), "left_out": left_out} | model_facts(model)
    error = run.facts["mean_error_px"]
    quality = "" if error is None else f", mean reprojection error {error:.2f} px"
    say(f"{len(names)} of {len(photos)} photos registered, {run.facts['points']} points{quality}")
    if len(names) < FEW_SHARE * len(photos):
        warn(f"{len(left_out)} photos have no camera ({few(left_out)}); {advice(run)}")
    if error is not None and error > LARGE_ERROR_PX:
        warn(
            f"the mean reprojection error of {error:.2f} px is large; try --camera OPENCV, or leave blurred photos out"
        )
    return model


def model_facts(model: Path) -> dict[str, Any]:
    """Number of points, their mean error (None = not known), and lenses of a model."""
    points, cameras = read_points3d(model), read_cameras(model)
    errors = np.zeros(0) if points is None else points.errors[np.isfinite(points.errors) & (points.errors > 0)]
    lenses = [
        f"{c.model} {c.width}x{c.height} {' '.join(f'{value:.6g}' for value in c.params)}" for c in cameras.values()
    ]
    count = 0 if points is None else len(points.ids)
    return {"points": count, "mean_error_px": float(errors.mean()) if len(errors) else None, "lenses": lenses}


def advice(run: Conversion) -> str:
    """What to try when photos have no cameras."""
    options, tips = run.options, []
    if run.facts.get("matcher") == "sequential":
        tips.append("--matcher exhaustive")
    if run.places.video is not None:
        tips.append(f"more frames (--num_frames {2 * max(run.facts.get('photos', 0), 40)})")
    if options.camera not in ("SIMPLE_RADIAL", "SIMPLE_PINHOLE"):
        tips.append("--camera SIMPLE_RADIAL")
    tips.append("photos that overlap by two thirds, sharp, of a scene that stands still and is not bare")
    return f"try {', '.join(tips)}"


def make_data_set(
    run: Conversion, tool: SfmTool, photos: Photos, masks: Mapping[str, Path], model: Path, staging: Path
) -> None:
    """Undistort, and put all parts into place."""
    with run.stage("undistortion"):
        pinhole = undistort_into(tool, photos.folder, model, staging)
        if masks and run.options.mask_mode != "cameras":
            undistort_masks(masks, model, pinhole, staging / "masks")
            if run.options.mask_mode == "background":
                make_transparent(staging / "images", staging / "masks", pinhole)
    if run.options.resize is not None:
        with run.stage("smaller copies"):
            make_smaller(staging / "images", staging)
    if run.options.times:
        names = sorted(image.name for image in read_images(pinhole))
        write_json(staging / TIMES_FILE, dict(zip(names, numbers_from_names(names), strict=True)))
    parts = part_names(run.options)
    for name in set(run.results.record["parts"]) & set(ALL_PARTS) - set(parts):
        run.results.drop(name, staging)
    for name in parts:
        run.results.place(staging / name, name)


def say_next(run: Conversion) -> None:
    """Where the data set is and what can be done with it."""
    folder, total = run.places.output, sum(run.seconds.values())
    source, model = shlex.quote(str(folder)), shlex.quote(f"output/{folder.resolve().name}")
    say(f"data set: {folder} ({format_seconds(total)} in all)")
    say(f"next: python convert.py --check {source}")
    say(f"next: python train.py -s {source} -m {model} --eval")


def _sizes(photos: Photos) -> str:
    groups = photos.groups
    width, height = photos.sizes[groups[0][0]]
    others = f" and {len(groups) - 1} other sizes, each with a lens of its own" if len(groups) > 1 else ""
    return f"{width}x{height} px{others}"
