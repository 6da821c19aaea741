"""Selects objects of a trained model by clicks, boxes or words: masks of every view, and the Gaussians themselves.

    python segment.py -m output/run --point 120 80 --view 0
    python segment.py -m output/run --point 120 80 --point 130 95 --negative 20 20 --view_name 0001.jpg
    python segment.py -m output/run --box 90 60 150 110 --action extract
    python segment.py -m output/run --clicks output/run/viewer/clicks.json
    python segment.py -m output/run --text car --negative road
    python segment.py -m output/run --text car --text tree
    python segment.py -m output/run --label_src car,tree,road
    python segment.py -m output/run --everything

X is the column and Y the row in the training image of that view, at the size that training used. In a moving scene the
object is followed through all time. Writes to <model>/segment/<name>; docs/segment.md says what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor

from arguments import ModelParams, PipelineParams, SegmentParams, SemanticParams, merge_saved
from arguments.segment_checks import check_segment_options
from encoders import image_key
from encoders.ade20k import read_label_set
from encoders.record import TeacherRecord
from encoders.sam_net.rendered_masks import rendered_mask
from encoders.sam_net.segmenter import DEFAULT, Segmenter
from encoders.text import TEMPLATES, encode_prompts, open_text_encoder
from gaussian_renderer import RenderSettings, trajectories
from gaussian_renderer.click_file import Clicks, read_clicks
from gaussian_renderer.feature_basis import evenly_spread
from gaussian_renderer.feature_space import comparable_rows, inner_products
from gaussian_renderer.frames import Frame
from gaussian_renderer.label_pictures import MAX_LABELS, LabelField, membership_field
from gaussian_renderer.mask_lifting import Decode, ViewPrompt, lift_prompt
from gaussian_renderer.moments import Moments
from gaussian_renderer.prompting import (
    WEIGHT_VIEWS,
    check_prompt,
    clicked_prompt,
    pointed_prompt,
    seen_cloud,
    surface_of,
)
from gaussian_renderer.selection_folder import SelectionFolder
from gaussian_renderer.time_paths import distinct_times
from gaussian_renderer.trained import TrainedScene, open_trained, render_settings
from gaussian_renderer.word_selection import opposing_words, select_words, word_scores
from scene.cameras import Camera
from scene.clusters import SIMILAR, cluster
from scene.editing import target_ids
from scene.prompts import Surface
from scene.selection import Cloud, Selection, select, select_scored
from utils.errors import UserError
from utils.files import write_json
from utils.image_io import to_uint8
from utils.progress import say, set_quiet, warn
from utils.script import run

GROUPS = (ModelParams, PipelineParams, SemanticParams, SegmentParams)
SAM_MAP_PX = 512  # longer side of the maps rendered for SAM, whose cells are a 64th of a picture


@dataclass(frozen=True)
class Job:
    """What one run works with."""

    trained: TrainedScene
    settings: RenderSettings
    options: SegmentParams
    record: TeacherRecord
    """Whose features the Gaussians carry."""
    blends_probabilities: bool = False
    """A label model whose views blend class probabilities rather than logits."""

    @cached_property
    def camera(self) -> Camera:
        """The view that points and boxes refer to; the first one of --clicks."""
        if self.clicks:
            return self.clicks[0][0]
        return prompted_camera(self.trained.scene.train, self.options)

    @cached_property
    def clicks(self) -> list[Clicks]:
        """Views and their points in the file of --clicks."""
        return read_clicks(self.options.clicks) if self.options.clicks else []

    @cached_property
    def rows(self) -> Tensor:
        """[N, D] with the cosines of the teacher's space; of a label model, class probabilities."""
        features = self.trained.model.features.detach()
        return features.softmax(1) if self.trained.classes else comparable_rows(features, self.trained.decoder)

    @cached_property
    def cloud(self) -> Cloud:
        """The Gaussians in space."""
        return seen_cloud(self.trained.scene.train, self.trained.model, self.settings)

    @cached_property
    def folder(self) -> SelectionFolder:
        """Where everything is written."""
        path = self.trained.model_path / "segment" / self.options.name
        fps = 0 if self.options.skip_video else self.options.fps
        return SelectionFolder(path, self.trained, self.settings, view_file, fps, self.moments)

    @cached_property
    def moments(self) -> Moments | None:
        """What is shown of the time; None where nothing moves."""
        if self.trained.model.motion.is_static:
            return None
        views, options = self.trained.scene.train, self.options
        fixed = numbered_view(views, options.fixed_view, "fixed_view") if options.fixed_view != -1 else self.camera
        return Moments(distinct_times(views), self.camera.time, fixed, options.max_tracks, options.num_plys)


def main(args: Sequence[str] | None = None) -> None:
    """Select what the command line asks for; `args` stands in for it."""
    groups = merge_saved("Select objects of a trained model by clicks, boxes or words.", *GROUPS, args=args)
    options = groups[-1]
    set_quiet(options.quiet)
    check_segment_options(options)
    job = open_job(*groups)
    if options.label_src is not None:
        name_everything(job)
    elif options.everything:
        find_everything(job)
    elif options.text:
        write_selections(job, by_words(job))
    else:
        write_selections(job, [by_sam(job) if options.sam else by_pointing(job)])


def open_job(model: ModelParams, pipeline: PipelineParams, semantic: SemanticParams, options: SegmentParams) -> Job:
    """Load the model; it must have features or labels."""
    trained = open_trained(model, options.iteration, options.layers)
    if trained.model.features is None:
        raise UserError(f"{model.model_path}: this model has no features; expected some; train with -f classical")
    dim = trained.model.feature_dim if trained.decoder is None else trained.decoder.teacher_dim
    record = TeacherRecord.load(model.model_path, semantic.foundation_model, dim)
    settings = render_settings(model, pipeline)
    return Job(trained, settings, options, record, semantic.label_loss == "nll_prob")


def prompted_camera(cameras: Sequence[Camera], options: SegmentParams) -> Camera:
    """The training view that points and boxes refer to."""
    if options.view_name:
        ordered = trajectories.sorted_by_name(cameras)
        wanted = image_key(options.view_name)
        found = [camera for camera in ordered if image_key(camera.image_name) == wanted]
        if not found:
            names = f"{ordered[0].image_name} to {ordered[-1].image_name}"
            raise UserError(f"view {options.view_name!r} is not a training view; there are {names}; check --view_name")
        return found[0]
    return numbered_view(cameras, options.view, "view")


def numbered_view(cameras: Sequence[Camera], number: int, flag: str) -> Camera:
    """The training view that a flag names by its number."""
    if not 0 <= number < len(cameras):
        raise UserError(f"--{flag} is {number}; expected 0 to {len(cameras) - 1} (training views sorted by name)")
    return trajectories.sorted_by_name(cameras)[number]


def by_pointing(job: Job) -> Selection:
    """The Gaussians like those under points or in boxes."""
    options = job.options
    if job.clicks:
        prompt = clicked_prompt(job.clicks, job.trained.model, job.rows, job.settings)
    else:
        asked = ViewPrompt(options.point, options.negative)
        prompt = pointed_prompt(job.camera, job.trained.model, job.rows, asked, options.box, job.settings)
    return select(job.rows, prompt, job.cloud, options.threshold, options.connected)


def by_sam(job: Job) -> Selection:
    """The Gaussians inside the masks that SAM's decoder gives for the prompt in every view."""
    options, model, camera = job.options, job.trained.model, job.camera
    asked = ViewPrompt(options.point, options.negative, options.box[0] if options.box else None)
    check_prompt(asked, options.box, (camera.width, camera.height))
    decode = sam_decoder(job)

    def draw(camera: Camera) -> Surface:
        scale = min(1.0, SAM_MAP_PX / max(camera.width, camera.height))
        size = (max(1, round(camera.height * scale)), max(1, round(camera.width * scale)))
        surface = surface_of(camera, model, model.features, replace(job.settings, feature_size=size))
        decoder = job.trained.decoder
        return surface if decoder is None else replace(surface, features=decoder(surface.features))

    others = [other for other in evenly_spread(job.trained.scene.train, WEIGHT_VIEWS) if other is not camera]
    share = lift_prompt(model, [camera, *others], asked, draw, decode, job.settings)
    return select_scored(share, job.cloud, 0.5 if options.threshold is None else options.threshold)


def sam_decoder(job: Job) -> Decode:
    """SAM's mask decoder for views of rendered features."""
    if job.record.name != "sam":
        raise UserError(f"--sam: the features are those of '{job.record.name}'; expected a model trained with -f sam")
    device = str(job.trained.model.device)
    segmenter = Segmenter(job.options.sam_weights, job.record.options.get("model") or DEFAULT, device)
    images = job.trained.scene.images

    def decode(camera: Camera, surface: Surface, asked: ViewPrompt) -> Tensor:
        photo = to_uint8(images.get(camera).image)
        return rendered_mask(segmenter, surface.features, photo, asked.positive, asked.negative, asked.box)

    return decode


def by_words(job: Job) -> list[Selection]:
    """One selection per word: the Gaussians that are like it, and more so than like any other word."""
    options, trained, wanted = job.options, job.trained, list(job.options.text)
    negative = [str(word) for word in options.negative]
    words = wanted + opposing_words(wanted, negative, trained.classes, job.record.name, options.canonical_negatives)
    scores = word_scores(trained.model.features, trained.decoder, trained.classes, words, partial(encode, job))
    return select_words(scores, len(wanted), job.cloud, options.threshold, bool(trained.classes))


def encode(job: Job, words: Sequence[str]) -> Tensor:
    """Words as unit rows [K, C] of the teacher's space."""
    encoder = open_text_encoder(job.record, job.options.text_weights)
    return encode_prompts(encoder, words, TEMPLATES[job.options.templates])


def name_everything(job: Job) -> None:
    """A label map of every view: for each pixel the word nearest to its rendered feature."""
    words = label_set(job)
    trained = job.trained
    if trained.classes:
        features = job.rows if job.blends_probabilities else trained.model.features
        scores = features[:, target_ids(trained.classes, words)]
    else:
        scores = inner_products(trained.model.features, trained.decoder, encode(job, words))
    field = LabelField(scores, tuple(words))
    job.folder.write_labels(field)
    job.folder.write_arrays(labels=field.of_gaussians())
    write_json(job.folder.path / "selection.json", describe(job) | {"words": words})
    say(f"{len(words)} words; written: {job.folder.path}, labels/, label_colors/ and legend.png among it")


def label_set(job: Job) -> list[str]:
    """The words of --label_src."""
    given, classes = ",".join(job.options.label_src), job.trained.classes
    if job.options.label_src and not given.strip(" ,"):
        raise UserError("--label_src is empty; expected words with commas between; leave the value out for ADE20K's")
    words = list(classes if classes and not given else dict.fromkeys(read_label_set(given)))
    if len(words) > MAX_LABELS:
        raise UserError(f"--label_src has {len(words)} words; expected at most {MAX_LABELS}; leave some out")
    return words


def find_everything(job: Job) -> None:
    """All objects: regions of Gaussians with similar features, in every view and in space."""
    similar = SIMILAR if job.options.threshold is None else job.options.threshold
    numbers = cluster(job.rows, job.cloud, similar)
    names = tuple(f"object {number + 1}" for number in range(int(numbers.max())))
    job.folder.write_labels(membership_field(numbers, names), kind="cluster")
    job.folder.write_arrays(labels=numbers)
    write_json(job.folder.path / "selection.json", describe(job) | {"threshold": similar, "objects": len(names)})
    say(f"found {len(names)} objects; written: {job.folder.path}")


def write_selections(job: Job, selections: Sequence[Selection]) -> None:
    """Everything about one selection, or about several with one label each."""
    for selection, name in zip(selections, job.options.text or ("the prompt",), strict=True):
        if not selection.mask.any():
            warn(f"nothing is selected for {name}; lower --threshold, or ask in other words")
    mask = torch.stack([selection.mask for selection in selections]).any(0)
    job.folder.write_selections(selections, job.cloud.weight, job.options.text)
    if job.options.action != "mask":
        job.folder.write_action(mask, job.options.action, job.options.color)
    limits = [selection.threshold for selection in selections]
    found = {"threshold": limits if len(limits) > 1 else limits[0], "selected": int(mask.sum()), "total": len(mask)}
    write_json(job.folder.path / "selection.json", describe(job) | found)
    say_result(job, found)


def describe(job: Job) -> dict:
    """What was asked, and which views there are pictures of."""
    scene, options = job.trained.scene, job.options
    pointed = bool(options.point or options.box)
    splits = [("train", camera) for camera in scene.train] + [("test", camera) for camera in scene.test]
    moves = job.moments is not None
    return {
        "iteration": job.trained.iteration,
        **({"layers": options.layers} if options.layers else {}),
        "click_view": image_key(job.camera.image_name) if pointed else None,
        "click_size": [job.camera.width, job.camera.height] if pointed else None,
        **({"time": job.camera.time} if moves else {}),
        "points": options.point,
        "boxes": options.box,
        "negative": options.negative,
        **({"clicks": options.clicks} if options.clicks else {}),
        "text": options.text,
        "threshold_is_automatic": options.threshold is None,
        "connected": options.connected,
        "action": options.action,
        "views": [
            {"key": image_key(camera.image_name), "image_name": camera.image_name, "split": split}
            | ({"time": camera.time} if moves else {})
            for split, camera in splits
        ],
    }


def view_file(frame: Frame) -> str:
    """Name of a view's picture: its image name without the ending, sub-folders joined by two underscores."""
    return f"{image_key(frame.camera.image_name)}.png"


def say_result(job: Job, found: dict) -> None:
    """What was found, where it is, and what to run next."""
    origin = "automatic" if job.options.threshold is None else "given"
    limits = found["threshold"] if isinstance(found["threshold"], list) else [found["threshold"]]
    shown = ", ".join(f"{limit:.3f}" for limit in limits)
    counted = f"selected {found['selected']} of {found['total']} Gaussians at {origin} threshold {shown}"
    say(f"{counted}; written: {job.folder.path}")
    root = Path(job.trained.scene.info.root)
    is_labelled = (root / "labels").is_dir() or any(root.glob("*/masks"))
    say(f"next: python metrics.py -m {job.trained.model_path} --labels {root if is_labelled else 'LABEL_FOLDER'}")


if __name__ == "__main__":
    run(main)
