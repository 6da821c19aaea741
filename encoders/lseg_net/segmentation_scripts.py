"""The scripts of Feature 3DGS and Label-3DGS that turn rendered features into class maps, and score class maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor
from tyro.conf import arg

from arguments import parse
from encoders.ade20k import DEFAULT_NAMES, read_label_set
from encoders.cache import read_legacy
from encoders.label_maps import CLASSES_FILE, IGNORE, read_class_names, read_ids
from encoders.label_scores import (
    LABELS,
    IdsOf,
    Pair,
    confusion_scores,
    feature_ids,
    pair_files,
    score_pairs,
    truth_ids,
)
from encoders.lseg_net.feature3dgs_script import IgnoredOptions, say_ignored
from encoders.lseg_net.label_pictures import label_colors, write_legend, write_mask, write_overlay
from encoders.record import TeacherRecord
from encoders.rendered_views import SUFFIX as FEATURES
from encoders.rendered_views import RenderedView, rendered_views
from encoders.text import encode_prompts, nearest_words, open_text_encoder
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.image_io import read_image, resize_uint8
from utils.progress import Progress, say

LARGEST_WIDTH = 480  # px; wider maps and pictures are brought to 360 x 480
WORKING_SIZE = (360, 480)  # (h, w)
LABEL_3DGS_CLASSES = 66


@dataclass(frozen=True)
class SegmentationOptions:
    """Which rendered features, which classes."""

    data: str
    """Model folder."""
    iteration: int
    """Iteration that was rendered."""
    label_src: str = "default"
    """Classes: a,b,c or a file of words; default = the 150 of ADE20K."""
    weights: str = ""
    """Weight file with the text encoder (of LSeg or CLIP); empty = looked for, then downloaded."""
    teacher: str = ""
    """Teacher whose words are compared; empty = the one the model was trained with, else lseg."""


def segment_features(description: str) -> None:
    """Read the command line; write class maps of all rendered views into `<data>/seg_<iteration>[_labels]`."""
    options, _, ignored = parse(description, SegmentationOptions, NetworkOptions, IgnoredOptions)
    say_ignored(ignored)
    model, names = Path(options.data), read_label_set(options.label_src)
    views = rendered_views(model, options.iteration, need_features=True)
    dim = read_legacy(views[0].features).shape[0]
    words = words_of(TeacherRecord.load(model, options.teacher or "lseg", dim), names, options.weights)
    suffix = "_labels" if options.label_src.strip().lower() in DEFAULT_NAMES else ""
    folder = model / f"seg_{options.iteration}{suffix}"
    with Progress(len(views)) as progress:
        for count, view in enumerate(views, start=1):
            write_classes(folder / view.split, view, words, names)
            progress.update(count)
    say(f"class maps of {len(views)} views in {folder}")


def words_of(record: TeacherRecord, names: Sequence[str], weights: str) -> Tensor:
    """Unit vectors [K, C] of the classes."""
    return encode_prompts(open_text_encoder(record, weights), names)


def write_classes(folder: Path, view: RenderedView, words: Tensor, names: Sequence[str]) -> None:
    """Mask, overlay and legend of one view."""
    features, image = read_legacy(view.features).float(), read_image(view.picture)[..., :3]
    if features.shape[2] > LARGEST_WIDTH:
        features = F.interpolate(features[None], WORKING_SIZE, mode="bilinear", align_corners=True)[0]
    ids, colors = nearest_words(features, words).numpy(), label_colors(len(names))
    path = folder / view.features.with_suffix(".png").name
    write_mask(path, ids, colors)
    write_overlay(path.with_name(f"{path.name}_vis.png"), resize_uint8(image, *ids.shape[::-1]), ids, colors)
    write_legend(path.with_name(f"{path.name}_legend.png"), ids, names, colors)


@dataclass(frozen=True)
class NetworkOptions:
    """Flags about the network, which these scripts do not run; accepted, without effect."""

    backbone: str = ""
    """Without effect."""
    workers: int = 0
    """Without effect."""
    cuda: bool = True
    """Without effect."""


@dataclass(frozen=True)
class MetricOptions:
    """What is compared with what, and how."""

    student_feature_dir: str
    """Folder of the rendered maps, e.g. <model>/test/ours_30000/saved_feature."""
    teacher_feature_dir: str
    """Folder of the teacher's maps."""
    eval_mode: Literal["test", "train"] = "test"
    """Without a manifest.json: test compares with every eighth of the teacher's maps."""
    test_rgb_dir: str = ""
    """Accepted for old command lines; without effect."""
    ground_truth: Annotated[str, arg(aliases=["--ground-truth"])] = ""
    """Folder of true label maps with classes.json; with it both maps are also compared with the truth."""
    protocol: Literal["f3dgs", "standard"] = "f3dgs"
    """f3dgs = as published: agreement of images, seven labels each; standard = one confusion matrix."""
    label_src: str = "default"
    """Classes: a,b,c or a file of words; default = the 150 of ADE20K."""
    weights: str = ""
    """Weight file with the text encoder; empty = looked for, then downloaded."""
    teacher: str = "lseg"
    """Teacher whose words are compared."""
    out: str = ""
    """JSON file of all scores; empty = segmentation_metric.json beside the student's folder."""


def score_features(description: str) -> None:
    """Read the command line; say and write how well the classes of two folders of feature maps agree."""
    options, _, ignored = parse(description, MetricOptions, NetworkOptions, IgnoredOptions)
    say_ignored(ignored)
    names = read_label_set(options.label_src)
    pairs = pair_files(
        Path(options.student_feature_dir), Path(options.teacher_feature_dir), FEATURES, options.eval_mode
    )
    dim = read_legacy(pairs[0].student).shape[0]
    model = Path(options.student_feature_dir).resolve().parents[2]
    ids_of = feature_ids(words_of(TeacherRecord.load(model, options.teacher, dim), names, options.weights))
    scores = {"agreement with the teacher": score_pairs(pairs, ids_of, names, options.protocol)}
    if options.ground_truth:
        scores |= truth_scores(pairs, ids_of, names, Path(options.ground_truth))
    write_scores(scores, options.out, options.student_feature_dir)


def truth_scores(pairs: Sequence[Pair], ids_of: IdsOf, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Student and teacher against hand-made labels, over the images that have some."""
    truths = {pair.name: truth_ids(folder, pair.name, names) for pair in pairs}
    known = [pair for pair in pairs if truths[pair.name] is not None]
    if not known:
        raise UserError(
            f"{folder} has no label of any of the {len(pairs)} images; expected <image>.png; check the folder"
        )
    return {
        f"{who} against the truth": confusion_scores(
            ((ids_of(getattr(pair, who)), truths[pair.name]) for pair in known), names
        )
        for who in ("student", "teacher")
    }


@dataclass(frozen=True)
class LabelMetricOptions:
    """Which label maps are compared."""

    student_label_dir: str
    """Folder of the rendered label maps, e.g. <model>/test/ours_30000/saved_labels."""
    teacher_label_dir: str
    """Folder of the teacher's `_label_CxHxW.pt` files."""
    eval_mode: Literal["test", "train"] = "test"
    """Without a manifest.json: test compares with every eighth of the teacher's maps."""
    protocol: Literal["label3dgs", "standard"] = "label3dgs"
    """label3dgs = mean over images; standard = one confusion matrix."""
    num_classes: int = LABEL_3DGS_CLASSES
    """Ids that count: 0 to one less."""
    out: str = ""
    """JSON file of all scores; empty = segmentation_metric.json beside the student's folder."""


def score_labels(description: str) -> None:
    """Read the command line; say and write how well two folders of label maps agree."""
    options, _, ignored = parse(description, LabelMetricOptions, NetworkOptions, IgnoredOptions)
    say_ignored(ignored)
    student, teacher = Path(options.student_label_dir), Path(options.teacher_label_dir)
    pairs = pair_files(student, teacher, LABELS, options.eval_mode)
    classes = student.resolve().parents[2] / CLASSES_FILE
    names = read_json(classes) if classes.is_file() else [f"class {number}" for number in range(options.num_classes)]
    scores = {"agreement with the teacher": score_pairs(pairs, ids_by_name(teacher, names), names, options.protocol)}
    write_scores(scores, options.out, options.student_label_dir)


def ids_by_name(teacher: Path, names: Sequence[str]) -> IdsOf:
    """Reads label maps as indices into `names`: those of the student are that already, the teacher's have names."""
    known = read_class_names(teacher)

    def read(path: Path) -> np.ndarray:
        ids = read_ids(path)
        if path.parent.resolve() != teacher.resolve():
            return ids
        found = np.full(ids.shape, IGNORE)
        for number in np.unique(ids[ids >= 0]).tolist():
            name = known.get(number, f"class {number}")
            found[ids == number] = names.index(name) if name in names else IGNORE
        return found

    return read


def write_scores(scores: dict[str, Any], out: str, student: str) -> None:
    """Say the main figures and write all of them."""
    for title, found in scores.items():
        shown = ", ".join(f"{name} {value:.4f}" for name, value in found.items() if isinstance(value, float))
        say(f"{title}: {shown} ({found['images']} images)")
    path = Path(out) if out else Path(student).resolve().parent / "segmentation_metric.json"
    write_json(path, scores)
    say(f"written: {path}")
