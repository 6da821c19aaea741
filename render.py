"""Renders a trained model: its training and test views, and new camera paths; edits it by words on the way.

    python render.py -m output/run
    python render.py -m output/run --novel_view --path orbit --video
    python render.py -m output/run --edit_config configs/edit/deletion.yaml

Writes <model>/{train,test}/ours_<iteration>/{renders,gt,depth,feature_map,gt_feature_map,saved_feature} and
manifest.json; new paths go to <model>/<path>/ours_<iteration>, their videos to <model>/videos_<iteration>. All of it
is listed in docs/render.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from arguments import ModelParams, PipelineParams, RenderParams, SemanticParams, merge_saved
from encoders import FeatureMaps, existing_features
from encoders.label_maps import open_label_maps
from encoders.record import TeacherRecord
from encoders.text import TEMPLATES, encode_prompts, open_text_encoder
from gaussian_renderer import RenderSettings, sinks
from gaussian_renderer.camera_paths import novel_paths
from gaussian_renderer.feature_basis import scene_basis
from gaussian_renderer.feature_space import word_cosines
from gaussian_renderer.frames import Sink, render_frames
from gaussian_renderer.outputs import Outputs
from gaussian_renderer.spiral import spiral
from gaussian_renderer.trained import TrainedScene, open_trained
from scene.cameras import Camera
from scene.editing import Edit, apply_edit, class_probabilities, load_edit, selections, target_ids
from scene.gaussian_model import GaussianModel
from utils.errors import UserError
from utils.progress import say, set_quiet, warn
from utils.script import run

GROUPS = (ModelParams, PipelineParams, SemanticParams, RenderParams)
NO_EDIT = ("", "no editing")  # the second is Feature 3DGS's default
SPIRAL_VIEWS, SPIRAL_FPS = 120, 10  # of Feature 3DGS's --video


@dataclass(frozen=True)
class Job:
    """What all folders of one run share."""

    trained: TrainedScene
    model: GaussianModel
    """What is rendered: the trained Gaussians, or the edited ones."""
    settings: RenderSettings
    options: RenderParams
    outputs: Outputs
    teacher: sinks.Lookup | None = None
    """The teacher's maps by image name; None = they are not there."""
    edit: str = ""
    """Operation and target of an edit, part of the names of folders."""

    def folder(self, name: str) -> Path:
        """<model>/<name>/ours_<iteration>[_<edit>]."""
        method = f"ours_{self.trained.iteration}" + (f"_{self.edit}" if self.edit else "")
        return self.trained.model_path / name / method


def main(args: Sequence[str] | None = None) -> None:
    """Render what the command line asks for; `args` stands in for it."""
    model, pipeline, semantic, options = merge_saved("Render views of a trained model.", *GROUPS, args=args)
    set_quiet(options.quiet)
    edit = None if options.edit_config in NO_EDIT else load_edit(options.edit_config)
    job = open_job(model, pipeline, semantic, options)
    views = job.trained.scene
    paths = novel_paths(options, views.train)
    if edit is not None:
        job = edited_job(job, semantic, edit)
    if not options.skip_train:
        render_split(job, "train", views.train)
    if not options.skip_test:
        render_split(job, "test", views.test)
    for name, cameras in paths:
        render_path(job, name, cameras, with_video=options.video or name == "novel_video")
    if options.video:
        render_spiral(job)
    say(f"next: {next_command(job)}")


def open_job(model: ModelParams, pipeline: PipelineParams, semantic: SemanticParams, options: RenderParams) -> Job:
    """Load the model, and what its features are shown with."""
    trained = open_trained(model, options.iteration)
    settings = RenderSettings(model.backend, pipeline.antialiasing)
    outputs = Outputs(depth=options.depth, tensors=options.save_features)
    job = Job(trained, trained.model, settings, options, outputs)
    if trained.classes:
        return with_labels(job, semantic)
    return job if trained.model.features is None else with_features(job, semantic)


def with_features(job: Job, semantic: SemanticParams) -> Job:
    """The job of a model of features: colours, and the teacher's maps if they are there."""
    trained, settings = job.trained, job.settings
    basis = scene_basis(trained.basis_path, trained.scene.train, trained.model, settings, trained.decoder)
    job = replace(job, outputs=replace(job.outputs, basis=basis, decoder=trained.decoder))
    maps = teacher_maps(trained, semantic, basis.mean.shape[0])
    if maps is None:
        return job
    layout = layout_of(maps, trained.scene.train)
    if semantic.feature_res == "teacher":
        settings = replace(settings, feature_size=layout.size)
    outputs = replace(job.outputs, layout=layout)
    return replace(job, settings=settings, outputs=outputs, teacher=lookup_in(maps, maps.basis))


def with_labels(job: Job, semantic: SemanticParams) -> Job:
    """The job of a model of class labels: what is blended depends on what the training blended."""
    trained, model = job.trained, job.trained.model
    if semantic.label_loss == "nll_prob":
        model = model.with_features(torch.softmax(model.features, dim=1))
    job = replace(job, model=model, outputs=replace(job.outputs, classes=trained.classes))
    names = [camera.image_name for camera in trained.scene.train]
    try:
        maps = open_label_maps(trained.scene.info.root, semantic.feature_cache, names)
    except UserError as error:
        say(f"no gt_labels: {error}")
        return job
    if maps.classes != trained.classes:
        warn(f"{maps.folder} has other classes than the model; no gt_labels are written")
        return job
    return replace(job, teacher=lookup_in(maps))


def teacher_maps(trained: TrainedScene, semantic: SemanticParams, width: int) -> FeatureMaps | None:
    """The teacher's maps, if they are there, of this width, and show a training view; they are not needed."""
    places = (trained.scene.info.root, semantic.foundation_model, semantic.feature_cache, trained.model_path)
    try:
        for maps in existing_features(*places):
            teacher_width = maps.dim if maps.basis is None else maps.basis.shape[0]
            if teacher_width == width and any(maps.has(camera.image_name) for camera in trained.scene.train):
                return maps
    except UserError as error:
        warn(f"{error}; rendering goes on without the teacher's maps")
    say("the teacher's maps are not there: no gt_feature_map, feature tensors are saved at the size of the image")
    return None


def layout_of(maps: FeatureMaps, cameras: Sequence[Camera]) -> sinks.MapLayout:
    """Size and cells of the map of the first training view that has one."""
    name = next(camera.image_name for camera in cameras if maps.has(camera.image_name))
    height, width = maps.get(name).shape[1:]
    return sinks.MapLayout((height, width), maps.placement(name))


def lookup_in(maps: sinks.Maps, basis: Tensor | None = None) -> sinks.Lookup:
    """Maps by image name, widened by `basis` [C, K] if they are shortened; one that cannot be read is left out."""

    def lookup(image_name: str) -> Tensor | None:
        try:
            found = maps.get(image_name) if maps.has(image_name) else None
        except UserError as error:
            warn(str(error))
            return None
        if found is None or not found.is_floating_point():
            return found
        return found.float() if basis is None else torch.einsum("ck,khw->chw", basis, found.float())

    return lookup


def edited_job(job: Job, semantic: SemanticParams, edit: Edit) -> Job:
    """The job of rendering an edited model; who is meant is decided once, for all views."""
    model_path, model = job.trained.model_path, job.trained.model
    if model.features is None:
        raise UserError(f"{model_path}: this model has no features; --edit_config needs some; train with -f")
    scores, names = object_scores(job, semantic, edit)
    chosen = selections(edit, scores, target_ids(names, edit.targets))
    for operation, mask in chosen.items():
        say(f"{operation} of {', '.join(edit.targets)}: {int(mask.sum())} of {len(mask)} Gaussians")
        if not mask.any():
            warn(f"{operation}: no Gaussian is {', '.join(edit.targets)}; lower the threshold or leave it empty")
    outputs = replace(job.outputs, depth=False, tensors=False)
    return replace(job, model=apply_edit(job.model, chosen, edit.recolor), outputs=outputs, edit=edit.label)


def object_scores(job: Job, semantic: SemanticParams, edit: Edit) -> tuple[Tensor, Sequence[str]]:
    """Scores [N, K] of the Gaussians, and the K names: the classes of a label model, else the objects of the edit."""
    trained = job.trained
    if trained.classes:
        return class_probabilities(trained.model.features), trained.classes
    dim = trained.model.feature_dim if trained.decoder is None else trained.decoder.teacher_dim
    record = TeacherRecord.load(trained.model_path, semantic.foundation_model, dim)
    encoder = open_text_encoder(record, job.options.text_weights)
    words = encode_prompts(encoder, edit.names, templates_of(edit))
    cosines = word_cosines(trained.model.features, trained.decoder, words)
    return class_probabilities(cosines, edit.temperature), edit.names


def templates_of(edit: Edit) -> Sequence[str]:
    """The sentences that an edit asks for."""
    if edit.template not in TEMPLATES and "{}" not in edit.template:
        known = ", ".join(TEMPLATES)
        raise UserError(f"template is {edit.template!r}; expected {known}, or a text with {{}}; change it")
    return TEMPLATES.get(edit.template, (edit.template,))


def render_split(job: Job, split: str, cameras: Sequence[Camera]) -> None:
    """Photographed views: everything that can be rendered, beside the photo and the teacher's map."""
    if not cameras:
        say(f"{split}: no views" + ("; train with --eval to hold some out" if split == "test" else ""))
        return
    folder = job.folder(split)
    truth = sinks.ground_truth_picture(job.trained.scene.images, job.trained.background)
    chosen = [*job.outputs.of_view(folder), sinks.FolderSink(folder / "gt", truth)]
    if job.teacher is not None:
        chosen += job.outputs.of_teacher(folder, job.teacher)
    count = render_to(job, cameras, chosen)
    job.outputs.write_legend(folder)
    say(f"{split}: {count} views in {folder}")


def render_path(job: Job, name: str, cameras: Iterable[Camera], with_video: bool) -> None:
    """A new camera path; if wanted with a video of the colours, and one of the features or labels."""
    folder, videos = job.folder(name), job.trained.model_path / f"videos_{job.trained.iteration}"
    chosen = list(job.outputs.of_view(folder))
    if with_video:
        chosen += job.outputs.videos(videos, f"{name}_{job.edit}" if job.edit else name, job.options.fps)
    count = render_to(job, cameras, chosen)
    job.outputs.write_legend(folder)
    say(f"{name}: {count} views in {folder}" + (f", videos in {videos}" if with_video else ""))


def render_spiral(job: Job) -> None:
    """Feature 3DGS's video: numbered pictures of a spiral and final_video.mp4 beside them."""
    folder = job.folder("video")
    video = sinks.VideoSink(folder / "final_video.mp4", sinks.color_picture, SPIRAL_FPS)
    cameras = spiral(job.trained.scene.train, SPIRAL_VIEWS)
    count = render_to(job, cameras, [sinks.FolderSink(folder, sinks.color_picture), video])
    say(f"video: {count} views in {folder}")


def render_to(job: Job, cameras: Iterable[Camera], chosen: Sequence[Sink]) -> int:
    """Render cameras into sinks; returns their number."""
    return render_frames(cameras, job.model, chosen, background=job.trained.background, settings=job.settings)


def next_command(job: Job) -> str:
    """What to run after this."""
    model_path = job.trained.model_path
    if job.trained.model.features is not None:
        return f"python segment.py -m {model_path} --point X Y --view K"
    return f"python metrics.py -m {model_path}"


if __name__ == "__main__":
    run(main)
