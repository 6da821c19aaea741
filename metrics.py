"""Scores a trained model: PSNR, SSIM and LPIPS of rendered views, IoU and accuracy of segmentation masks.

    python metrics.py -m output/run
    python metrics.py -m output/* --stdev --lpips_weights vgg16.pth lpips_vgg.pth
    python metrics.py -m output/run --labels data/labels --object fox
    python metrics.py -m output/run --labels data --tracks data/tracks_gt.npz

Reads what render.py (and segment.py) wrote and writes `results.json` and `per_view.json` into the model folder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ndraster
import numpy as np
from torch import Tensor

import utils.lpips
from arguments import MetricsParams, parse
from encoders.label_maps import CLASSES_FILE, read_ids
from encoders.label_scores import LABELS, confusion_scores
from encoders.mask_scores import read_manifest, resolve_object, score_masks
from encoders.true_labels import TrueLabels
from gaussian_renderer.tracks import Tracks, TrueTracks, track_scores
from utils.devices import choose_device
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.image_io import read_image, to_float
from utils.metrics import psnr
from utils.progress import say, set_quiet, warn
from utils.script import describe, run

CONVENTION = (
    "8-bit PNGs in 0..1; PSNR = 10 log10(1/MSE) over all pixels and channels of a view; SSIM 11x11, sigma 1.5, zero "
    "padding; LPIPS VGG v0.1 on {lpips} input; each the mean over views with finite PSNR"
)
LPIPS_INPUT = {"graphdeco": "0..1 (graphdeco's habit)", "pm1": "-1..1"}
LABEL_CONVENTION = (
    "one confusion matrix over all views; classes matched by name, pixels of other classes left out; mIoU over the "
    "classes that occur"
)
Lpips = Callable[[Tensor, Tensor], float]


def main(args: Sequence[str] | None = None) -> None:
    """Score every model folder given on the command line; `args` stands in for it."""
    (params,) = parse("Score rendered views and segmentation masks.", MetricsParams, args=args)
    set_quiet(params.quiet)
    if not params.model_paths:
        raise UserError("-m names no folder; expected at least one model folder of train.py")
    lpips, failures = load_lpips(params), []
    for model_path in params.model_paths:
        try:
            score_model(Path(model_path), params, lpips)
        except (UserError, OSError) as error:
            if len(params.model_paths) == 1:
                raise
            warn(describe(error))
            failures.append(model_path)
    if failures:
        raise UserError(f"{len(failures)} of {len(params.model_paths)} folders not measured: {', '.join(failures)}")


def score_model(model_path: Path, params: MetricsParams, lpips: Lpips | None) -> dict:
    """Score one model folder; returns what goes into results.json."""
    results, per_view = {}, {}
    labels = TrueLabels.open(params.labels) if params.labels else None
    for folder in rendered_folders(model_path):
        results[folder.name], per_view[folder.name] = score_images(folder, lpips, params)
        if labels and (folder / "saved_labels").is_dir():
            results[folder.name] |= label_scores(rendered_labels(folder, model_path), labels)
        say_scores(f"{model_path.name} {folder.name} test", results[folder.name])
    if labels:
        for folder in selection_folders(model_path, params.selection, is_needed=not results):
            name = f"segment/{folder.name}"
            results[name], per_view[name] = score_selection(folder, labels, params)
            say_scores(f"{model_path.name} {name}", results[name])
    elif params.tracks:
        raise UserError("--tracks needs true labels, to know which object was selected; add --labels FOLDER")
    if not results:
        raise UserError(f"{model_path}: no rendered test views; hold some out with train.py --eval, then run render.py")
    write_json(model_path / "results.json", results)
    write_json(model_path / "per_view.json", per_view)
    say(f"written: {model_path / 'results.json'} and per_view.json")
    say(f"next: python render.py -m {model_path} --novel_view --video")
    return results


def score_selection(folder: Path, labels: TrueLabels, params: MetricsParams) -> tuple[dict, dict]:
    """Scores of the masks of one selection (of its label maps, if it has several words), and of its tracks."""
    if (folder / "labels").is_dir():
        return label_scores(selected_labels(folder), labels), {}
    scores, per_view = score_masks(folder, labels, params.object)
    if params.tracks and (folder / "tracks.npz").is_file():
        manifest = read_manifest(folder)
        label = resolve_object(labels, params.object, manifest)
        if label is None:
            raise UserError(
                f"{labels.folder} has plain masks; expected the object's label in {params.tracks}; add --object ID"
            )
        tracks = Tracks.load(folder / "tracks.npz"), TrueTracks.load(Path(params.tracks))
        scores |= track_scores(*tracks, label, manifest["time"])
    return scores, per_view


def rendered_folders(model_path: Path) -> list[Path]:
    """Folders test/<method> that hold renders and the photos beside them."""
    if not model_path.is_dir():
        raise UserError(f"{model_path}: no such folder; expected a model folder of train.py; check -m")
    return sorted(path.parent for path in model_path.glob("test/*/renders") if (path.parent / "gt").is_dir())


def score_images(folder: Path, lpips: Lpips | None, params: MetricsParams) -> tuple[dict, dict]:
    """Mean and per-view scores of one folder with renders/ and gt/."""
    names = sorted(path.name for path in (folder / "renders").glob("*.png"))
    missing = [name for name in names if not (folder / "gt" / name).is_file()]
    if missing or not names:
        seen = f"{len(names)} renders, {len(missing)} without a photo"
        raise UserError(f"{folder}: {seen}; expected equal names in renders/ and gt/; run render.py again")
    scores = {name: score_pair(folder / "renders" / name, folder / "gt" / name, lpips) for name in names}
    per_view = {key: {name: scores[name][key] for name in names} for key in scores[names[0]]}
    convention = {"convention": CONVENTION.format(lpips=LPIPS_INPUT[params.lpips_range])}
    return summary(per_view, params.stdev) | convention, per_view


def score_pair(render_path: Path, truth_path: Path, lpips: Lpips | None) -> dict[str, float]:
    """SSIM, PSNR and, when there is a network for it, LPIPS of one view."""
    image, truth = (to_float(read_image(path)[..., :3]) for path in (render_path, truth_path))
    if image.shape != truth.shape:
        sizes = f"{tuple(image.shape)} and {tuple(truth.shape)}"
        raise UserError(f"{render_path}: render and photo have shapes {sizes}; expected the same; run render.py again")
    scores = {"SSIM": float(ndraster.ssim(image, truth)), "PSNR": psnr(image, truth)}
    return scores if lpips is None else scores | {"LPIPS": lpips(image, truth)}


def summary(per_view: dict[str, dict[str, float]], with_stdev: bool) -> dict:
    """Mean of each score over the views whose PSNR is finite (over all if none is), and the names of the others.

    A view that equals its photo to the last bit has an infinite PSNR: usually an empty picture of a masked scene.
    """
    endless = [name for name, value in per_view["PSNR"].items() if not math.isfinite(value)]
    counted = [name for name in per_view["PSNR"] if name not in endless] or endless
    values = {key: [views[name] for name in counted] for key, views in per_view.items()}
    result: dict = {key: float(np.mean(listed)) for key, listed in values.items()}
    if with_stdev:
        result |= {f"{key}_STDEV": float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for key, v in values.items()}
    if endless:
        warn(f"{len(endless)} views equal their photos (infinite PSNR), left out of the means: {', '.join(endless)}")
        result["left_out"] = endless
    return result


def load_lpips(params: MetricsParams) -> Lpips | None:
    """LPIPS with the given or cached weights; where there are none, one line and None."""
    device = choose_device("auto")
    try:
        return utils.lpips.Lpips(params.lpips_weights, params.lpips_range == "pm1", device)
    except utils.lpips.LpipsUnavailable as reason:
        say(f"LPIPS is skipped: {reason}")
        return None


@dataclass(frozen=True)
class LabelMaps:
    """Found label maps: ids [H, W] by image name, as indices into `classes`."""

    ids: dict[str, np.ndarray]
    classes: list[str]


def rendered_labels(folder: Path, model_path: Path) -> LabelMaps:
    """What render.py saved of a label model."""
    frames = read_json(folder / "manifest.json")["frames"]
    maps = {frame["image_name"]: folder / "saved_labels" / f"{frame['index']:05d}{LABELS}" for frame in frames}
    return LabelMaps({name: read_ids(path) for name, path in maps.items()}, read_json(model_path / CLASSES_FILE))


def selected_labels(folder: Path) -> LabelMaps:
    """What segment.py wrote for several words, of the views held out from training (of all where none were)."""
    names = read_json(folder / "labels" / "classes.json")
    views = read_json(folder / "selection.json")["views"]
    held_out = [view for view in views if view["split"] == "test"] or views
    maps = {view["image_name"]: read_ids(folder / "labels" / f"{view['key']}.png") - 1 for view in held_out}
    return LabelMaps(maps, [names[str(number)] for number in range(1, len(names))])


def label_scores(found: LabelMaps, labels: TrueLabels) -> dict:
    """Scores of label maps against true ones whose classes have the same names."""
    truths = {name: labels.ids_among(name, found.classes) for name in found.ids}
    pairs = [(ids, truths[name]) for name, ids in found.ids.items() if truths[name] is not None]
    if not pairs:
        raise UserError(
            f"{labels.folder}: no label of any of the {len(truths)} views; expected <view>.png; check --labels"
        )
    scores = confusion_scores(pairs, found.classes)
    return {f"label_{name}": value for name, value in scores.items()} | {"label_convention": LABEL_CONVENTION}


def selection_folders(model_path: Path, selection: str, is_needed: bool) -> list[Path]:
    """Folders segment/<name> to be scored: the named one, or all; an error without any where one `is_needed`."""
    folders = sorted({path.parent for kind in ("masks", "labels") for path in model_path.glob(f"segment/*/{kind}")})
    if selection:
        folders = [folder for folder in folders if folder.name == selection]
    if not folders and (is_needed or selection):
        wanted = f"segment/{selection or '<name>'}/masks"
        raise UserError(f"{model_path}: no {wanted}; run: python segment.py -m {model_path} --point X Y --view K")
    return folders


def say_scores(title: str, scores: dict) -> None:
    """One line of scores."""
    say(f"{title}: " + ", ".join(f"{key} {value:.4f}" for key, value in scores.items() if isinstance(value, float)))


if __name__ == "__main__":
    run(main)
