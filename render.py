"""Renders a trained model: its training and test views, and new camera paths; edits it by words on the way.

    python render.py -m output/run
    python render.py -m output/run --novel_view --path orbit --video
    python render.py -m output/run --edit_config configs/edit/deletion.yaml
    python render.py -m output/run --mode time
    python render.py -m output/run --points "(270,370)" --thetas 0.55 --frame 100 --novel_views -1

Writes <model>/{train,test}/ours_<iteration>/{renders,gt,depth,feature_map,gt_feature_map,saved_feature} and
manifest.json; new paths go to <model>/<path>/ours_<iteration>, their videos to <model>/videos_<iteration>. All of it
is listed in docs/render.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from arguments import (
    FollowParams,
    ModelParams,
    MotionParams,
    PipelineParams,
    RenderParams,
    SemanticParams,
    merge_saved,
)
from arguments.render_checks import NO_EDIT, check_render_options
from encoders import FeatureMaps, existing_features
from encoders.label_maps import open_label_maps
from encoders.record import TeacherRecord
from encoders.text import TEMPLATES, encode_prompts, open_text_encoder
from gaussian_renderer import sinks
from gaussian_renderer.camera_paths import novel_paths, spiral_path
from gaussian_renderer.dgd_frames import chosen_by, clicked, render_followed
from gaussian_renderer.dgd_selection import Chosen
from gaussian_renderer.feature_basis import scene_basis
from gaussian_renderer.feature_space import word_cosines
from gaussian_renderer.outputs import Outputs
from gaussian_renderer.render_job import Job
from gaussian_renderer.speed import frames_per_second
from gaussian_renderer.time_modes import MOMENTS, render_mode, write_ply_sequence
from gaussian_renderer.trained import TrainedScene, open_trained, render_settings
from scene.cameras import Camera
from scene.editing import Edit, apply_edit, class_probabilities, load_edit, selections, target_ids
from utils.errors import UserError
from utils.progress import say, set_quiet, warn
from utils.script import run

GROUPS = (ModelParams, PipelineParams, SemanticParams, MotionParams, RenderParams, FollowParams)
SPIRAL_VIEWS, SPIRAL_FPS = 120, 10  # of Feature 3DGS's --video


def main(args: Sequence[str] | None = None) -> None:
    """Render what the command line asks for; `args` stands in for it."""
    groups = merge_saved("Render views of a trained model.", *GROUPS, args=args)
    model, pipeline, semantic, _, options, follow = groups  # how things move is in the model's files
    set_quiet(options.quiet)
    check_render_options(options, follow)
    edit = None if options.edit_config in NO_EDIT else load_edit(options.edit_config)
    job = open_job(model, pipeline, semantic, options)
    if edit is not None:
        job = edited_job(job, semantic, edit)
    if follow.is_asked:
        render_followed(job, follow, chosen_objects(job, semantic, follow))
    else:
        render_views(job, model.seed)
    say(f"next: {next_command(job)}")


def render_views(job: Job, seed: int) -> None:
    """The photographed views, or what --mode makes of them, and all new paths."""
    options, views = job.options, job.trained.scene
    paths = novel_paths(options, views.train)
    for split, skipped in (("train", options.skip_train), ("test", options.skip_test)):
        if not skipped:
            render_split(job, split, getattr(views, split), seed)
    for name, cameras in paths:
        render_path(job, name, cameras, with_video=options.video or name == "novel_video")
    if options.video:
        render_spiral(job)
    if options.ply_sequence is not None:
        write_ply_sequence(job, *(options.ply_sequence or (MOMENTS,)))


def open_job(model: ModelParams, pipeline: PipelineParams, semantic: SemanticParams, options: RenderParams) -> Job:
    """Load the model, and what its features are shown with."""
    trained = open_trained(model, options.iteration, options.layers)
    settings = render_settings(model, pipeline)
    outputs = Outputs(depth=options.depth, tensors=options.save_features)
    job = Job(trained, trained.model, settings, options, outputs, edit=layer_label(options.layers))
    if trained.classes:
        return with_labels(job, semantic)
    return job if trained.model.features is None else with_features(job, semantic)


def layer_label(layers: Sequence[str]) -> str:
    """What the folders of a rendering of some layers only end with."""
    chosen = re.findall(r"[\w-]+", " ".join(layers))
    return "_".join(("layers", *chosen)) if chosen else ""


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
    return replace(
        job,
        model=apply_edit(job.model, chosen, edit.recolor),
        outputs=outputs,
        edit="_".join(filter(None, (edit.label, job.edit))),
    )


def object_scores(job: Job, semantic: SemanticParams, edit: Edit) -> tuple[Tensor, Sequence[str]]:
    """Scores [N, K] of the Gaussians, and the K names: the classes of a label model, else the objects of the edit."""
    trained = job.trained
    if trained.classes:
        return class_probabilities(trained.model.features), trained.classes
    words = word_rows(job, semantic, edit.names, templates_of(edit))
    cosines = word_cosines(trained.model.features, trained.decoder, words)
    return class_probabilities(cosines, edit.temperature), edit.names


def word_rows(job: Job, semantic: SemanticParams, words: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Words as unit rows [K, C] of the teacher's space."""
    trained = job.trained
    dim = trained.model.feature_dim if trained.decoder is None else trained.decoder.teacher_dim
    record = TeacherRecord.load(trained.model_path, semantic.foundation_model, dim)
    return encode_prompts(open_text_encoder(record, job.options.text_weights), words, templates)


def templates_of(edit: Edit) -> Sequence[str]:
    """The sentences that an edit asks for."""
    if edit.template not in TEMPLATES and "{}" not in edit.template:
        known = ", ".join(TEMPLATES)
        raise UserError(f"template is {edit.template!r}; expected {known}, or a text with {{}}; change it")
    return TEMPLATES.get(edit.template, (edit.template,))


def chosen_objects(job: Job, semantic: SemanticParams, follow: FollowParams) -> Chosen | None:
    """What --points or --prompt choose; None without any."""
    if not follow.points and not follow.prompt:
        return None
    if job.trained.model.features is None:
        raise UserError(f"{job.trained.model_path}: this model has no features to choose by; train with -f")
    scores, queries = prompted(job, semantic, follow) if follow.prompt else clicked(job, follow)
    return chosen_by(job, follow, scores, queries)


def prompted(job: Job, semantic: SemanticParams, follow: FollowParams) -> tuple[Tensor, Tensor]:
    """Cosines [N, K] of the Gaussians with K words, and these [K, C]; of a label model probabilities of its classes."""
    trained = job.trained
    if trained.classes:
        columns = target_ids(trained.classes, follow.prompt)
        return trained.model.features.softmax(1)[:, columns], torch.eye(len(trained.classes))[columns]
    words = word_rows(job, semantic, follow.prompt, TEMPLATES["none"])
    return word_cosines(trained.model.features, trained.decoder, words), words


def render_split(job: Job, split: str, cameras: Sequence[Camera], seed: int) -> None:
    """Photographed views: what --mode makes of them, or beside the photo and the teacher's map."""
    if not cameras:
        say(f"{split}: no views" + ("; train with --eval to hold some out" if split == "test" else ""))
        return
    if job.options.mode != "render":
        render_mode(job, split, cameras, seed)
        return
    folder = job.folder(split)
    truth = sinks.ground_truth_picture(job.trained.scene.images, job.trained.background)
    chosen = [*job.outputs.of_view(folder), sinks.FolderSink(folder / "gt", truth)]
    if job.teacher is not None:
        chosen += job.outputs.of_teacher(folder, job.teacher)
    count = job.render(cameras, chosen)
    job.outputs.write_legend(folder)
    say(f"{split}: {count} views in {folder}")
    if job.options.measure_fps:
        fps = frames_per_second(cameras, job.model, job.trained.background, job.settings)
        say(f"{split}: Test FPS: {fps:.1f}, number of Gaussians: {job.model.num_gaussians}")


def render_path(job: Job, name: str, cameras: Iterable[Camera], with_video: bool) -> None:
    """A new camera path; if wanted with a video of the colours, and one of the features or labels."""
    folder, videos = job.folder(name), job.trained.model_path / f"videos_{job.trained.iteration}"
    chosen = list(job.outputs.of_view(folder))
    if with_video:
        chosen += job.outputs.videos(videos, f"{name}_{job.edit}" if job.edit else name, job.fps)
    count = job.render(cameras, chosen)
    job.outputs.write_legend(folder)
    say(f"{name}: {count} views in {folder}" + (f", videos in {videos}" if with_video else ""))


def render_spiral(job: Job) -> None:
    """Feature 3DGS's video: numbered pictures of a spiral and final_video.mp4 beside them."""
    folder = job.folder("video")
    video = sinks.VideoSink(folder / "final_video.mp4", sinks.color_picture, SPIRAL_FPS)
    cameras = spiral_path(job.options, job.trained.scene.train, SPIRAL_VIEWS)
    count = job.render(cameras, [sinks.FolderSink(folder, sinks.color_picture), video])
    say(f"video: {count} views in {folder}")


def next_command(job: Job) -> str:
    """What to run after this."""
    model_path = job.trained.model_path
    if job.trained.model.features is not None:
        return f"python segment.py -m {model_path} --point X Y --view K"
    return f"python metrics.py -m {model_path}"


if __name__ == "__main__":
    run(main)
