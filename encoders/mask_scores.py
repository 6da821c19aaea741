"""Masks of a selection (what segment.py wrote) against true label images: every view, held-out views, every moment."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from encoders.label_scores import resize_ids
from encoders.true_labels import TrueLabels
from utils.errors import UserError
from utils.files import read_json
from utils.image_io import read_image
from utils.metrics import accuracy, iou

MASK_CONVENTION = (
    "per view: IoU = intersection/union (1 where both are empty), accuracy = equal pixels; labels resized to the mask "
    "by nearest neighbour, ignored pixels left out; mean over the views that have labels; _over_time: mean over the "
    "moments of the means of their views"
)
SCORES = {"IoU": iou, "accuracy": accuracy}


def score_masks(folder: Path, labels: TrueLabels, wanted: str) -> tuple[dict, dict]:
    """Scores of the masks of one selection, and those of every view.

    Returns:
        Means over all labelled views and (`_test`) over the held-out ones; of a moving scene also over its moments.
        By score and view (key); of a moving scene also `IoU_at`, by moment.
    """
    manifest = read_manifest(folder)
    target = resolve_object(labels, wanted, manifest)
    views = [view for view in manifest["views"] if labels.path_of(view["image_name"]) is not None]
    if not views:
        example = manifest["views"][0]["image_name"] if manifest["views"] else "view.png"
        raise UserError(
            f"{labels.folder}: no label of any view, e.g. of {example}; expected <view>.png; check --labels"
        )
    per_view: dict[str, dict[str, float]] = {name: {} for name in SCORES}
    for view in views:
        mask = read_image(folder / "masks" / f"{view['key']}.png")[..., 0] > 127
        truth, valid = read_truth(labels, view["image_name"], target, mask.shape)
        for name, score in SCORES.items():
            per_view[name][view["key"]] = score(mask, truth, valid)
    held_out = [view["key"] for view in views if view["split"] == "test"]
    means = {name: _mean(values.values()) for name, values in per_view.items()}
    means |= {"views": len(views), "test_views": len(held_out)}
    if held_out:
        means |= {f"{name}_test": _mean(map(values.get, held_out)) for name, values in per_view.items()}
    if any("time" in view for view in views):
        per_view["IoU_at"] = at_moments(views, per_view["IoU"])
        means |= {
            "IoU_over_time": _mean(per_view["IoU_at"].values()),
            "IoU_worst_moment": min(per_view["IoU_at"].values()),
        }
    return means | {"object": target, "convention": MASK_CONVENTION}, per_view


def at_moments(views: list[dict], scores: dict[str, float]) -> dict[str, float]:
    """Mean score of the views of each moment, by the moment as `0.0000`, rising."""
    groups = defaultdict(list)
    for view in views:
        groups[view["time"]].append(scores[view["key"]])
    return {f"{time:.4f}": _mean(groups[time]) for time in sorted(groups)}


def read_manifest(folder: Path) -> dict:
    """What segment.py wrote about a selection."""
    manifest = read_json(folder / "selection.json")
    missing = {"views", "points", "click_view", "click_size"} - set(manifest if isinstance(manifest, dict) else ())
    if missing:
        raise UserError(f"{folder / 'selection.json'} lacks {', '.join(sorted(missing))}; run segment.py again")
    return manifest


def resolve_object(labels: TrueLabels, wanted: str, manifest: dict) -> int | None:
    """Label id to score against; None = the label images are plain masks (0 = outside).

    `wanted` is an id or a name; empty = the label under the first click, when its view is labelled, or the word that
    was asked for, when it is the name of a label.
    """
    if wanted:
        return labels.id_of(wanted)
    if not labels.names:
        return None
    if manifest["points"]:
        return label_under_click(labels, manifest)
    asked = manifest.get("text") or ("",)
    if len(asked) == 1 and asked[0] in labels.names.values():
        return labels.id_of(asked[0])
    known = ", ".join(labels.names.values())
    raise UserError(f"{labels.folder} has {known}; expected to be told which was selected; add --object")


def label_under_click(labels: TrueLabels, manifest: dict) -> int:
    """The label id under the first positive click."""
    clicked = manifest["click_view"]
    name = next((view["image_name"] for view in manifest["views"] if view["key"] == clicked), clicked)
    ids = labels.ids_of(name)
    if ids is None:
        seen = f"{labels.folder}: no label of the clicked view {name}"
        raise UserError(f"{seen}; expected one, or the object's name; add --object NAME")
    width, height = manifest["click_size"]
    x, y = manifest["points"][0]
    return int(resize_ids(ids, (height, width))[y, x])


def read_truth(
    labels: TrueLabels, image_name: str, target: int | None, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(inside, valid) masks [H, W] of one label image at the size of the predicted mask."""
    if target is None:
        plain = read_image(labels.path_of(image_name))[..., 0].astype(np.int64)
        return resize_ids(plain, shape) > 0, np.ones(shape, dtype=bool)
    ids = resize_ids(labels.ids_of(image_name), shape)
    return ids == target, ids >= 0


def _mean(values) -> float:
    return float(np.mean(list(values)))
