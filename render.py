"""Renders a trained model: its training and test views, and new camera paths.

    python render.py -m output/run
    python render.py -m output/run --novel_view --path orbit --video

Writes <model>/{train,test}/ours_<iteration>/{renders,gt,depth,feature_map,saved_feature} and manifest.json; new
paths go to <model>/{novel_views,novel_views_multi_interpolate,orbit}/ours_<iteration>, their videos to
<model>/videos_<iteration>.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from arguments import ModelParams, PipelineParams, RenderParams, SemanticParams, merge_saved
from encoders import existing_features
from gaussian_renderer import RenderSettings, sinks, trajectories
from gaussian_renderer.feature_basis import scene_basis
from gaussian_renderer.frames import Frame, Sink, render_frames
from gaussian_renderer.trained import TrainedScene, open_trained
from scene.cameras import Camera
from utils.pca import Pca
from utils.progress import say, set_quiet
from utils.script import run


@dataclass(frozen=True)
class Job:
    """What all folders of one run share."""

    trained: TrainedScene
    settings: RenderSettings
    options: RenderParams
    basis: Pca | None
    """Colours of the features; None = the model has none."""
    teacher_grid: tuple[int, int] | None
    """(h, w) of the teacher's maps, at which feature tensors are saved; None = unknown, the image's."""


def main(args: Sequence[str] | None = None) -> None:
    """Render what the command line asks for; `args` stands in for it."""
    groups = (ModelParams, PipelineParams, SemanticParams, RenderParams)
    model, pipeline, semantic, options = merge_saved("Render views of a trained model.", *groups, args=args)
    set_quiet(options.quiet)
    job = open_job(model, pipeline, semantic, options)
    views = job.trained.scene
    if not options.skip_train:
        render_split(job, "train", views.train)
    if not options.skip_test:
        render_split(job, "test", views.test)
    if options.novel_view or options.video:
        for name, path in novel_paths(options, views.train):
            render_path(job, name, path)
    say(f"next: {next_command(job)}")


def open_job(model: ModelParams, pipeline: PipelineParams, semantic: SemanticParams, options: RenderParams) -> Job:
    """Load the model, and for one with features the colour basis and the teacher's grid."""
    trained = open_trained(model, options.iteration)
    settings = RenderSettings(model.backend, pipeline.antialiasing)
    if trained.model.features is None:
        return Job(trained, settings, options, None, None)
    grid = teacher_grid(trained, semantic)
    basis = scene_basis(trained.basis_path, trained.scene.train, trained.model, settings)
    if semantic.feature_res == "teacher":
        settings = replace(settings, feature_size=grid)
    return Job(trained, settings, options, basis, grid)


def teacher_grid(trained: TrainedScene, semantic: SemanticParams) -> tuple[int, int] | None:
    """(h, w) of the teacher's map of the first training view that has one; None when there is none any more."""
    scene = trained.scene
    for maps in existing_features(
        scene.info.root, semantic.foundation_model, semantic.feature_cache, trained.model_path
    ):
        named = [camera.image_name for camera in scene.train if maps.has(camera.image_name)]
        if named:
            height, width = maps.get(named[0]).shape[1:]
            return height, width
    say("the teacher's maps are not there: feature tensors are saved at the size of the image")
    return None


def render_split(job: Job, split: str, cameras: Sequence[Camera]) -> None:
    """Photographed views: everything that can be rendered, beside the photo."""
    if not cameras:
        say(f"{split}: no views" + ("; train with --eval to hold some out" if split == "test" else ""))
        return
    folder = output_folder(job.trained, split)
    truth = sinks.ground_truth_picture(job.trained.scene.images, job.trained.background)
    extra = [sinks.FolderSink(folder / "gt", truth)]
    count = render_to(job, cameras, view_sinks(job, folder) + extra)
    say(f"{split}: {count} views in {folder}")


def render_path(job: Job, name: str, cameras: Iterator[Camera]) -> None:
    """A new camera path, with a video of the colours and one of the features."""
    folder = output_folder(job.trained, name)
    chosen = view_sinks(job, folder)
    videos = job.trained.model_path / f"videos_{job.trained.iteration}"
    if job.options.video:
        chosen.append(sinks.VideoSink(videos / f"{name}.mp4", sinks.color_picture, job.options.fps))
        if job.basis is not None:
            picture, path = sinks.feature_picture(job.basis), videos / f"{name}_fmap.mp4"
            chosen.append(sinks.VideoSink(path, picture, job.options.fps, needs_features=True))
    count = render_to(job, cameras, chosen)
    say(f"{name}: {count} views in {folder}" + (f", videos in {videos}" if job.options.video else ""))


def view_sinks(job: Job, folder: Path) -> list[Sink]:
    """The sinks that every folder has."""
    chosen: list[Sink] = [
        sinks.FolderSink(folder / "renders", sinks.color_picture),
        sinks.ManifestSink(folder / "manifest.json"),
    ]
    if job.options.depth:
        chosen.append(sinks.FolderSink(folder / "depth", sinks.depth_picture))
    if job.basis is not None:
        picture = sinks.feature_picture(job.basis)
        chosen.append(sinks.FolderSink(folder / "feature_map", picture, name=feature_file, needs_features=True))
        if job.options.save_features:
            decoder = job.trained.decoder
            chosen.append(sinks.SavedFeatureSink(folder / "saved_feature", decoder, job.teacher_grid))
    return chosen


def feature_file(frame: Frame) -> str:
    """Name of a feature picture, as Feature-3DGS has it."""
    return f"{frame.index:05d}_feature_vis.png"


def render_to(job: Job, cameras: Sequence[Camera] | Iterator[Camera], chosen: Sequence[Sink]) -> int:
    """Render cameras into sinks; returns their number."""
    trained = job.trained
    return render_frames(cameras, trained.model, chosen, background=trained.background, settings=job.settings)


def novel_paths(options: RenderParams, cameras: Sequence[Camera]) -> Iterator[tuple[str, Iterator[Camera]]]:
    """(folder name, cameras) of each new path that is asked for."""
    if options.multi_interpolate:
        yield "novel_views_multi_interpolate", trajectories.in_betweens(cameras)
        return
    if options.path in ("slerp", "both"):
        yield "novel_views", trajectories.slerp_path(cameras, options.num_views)
    if options.path in ("orbit", "both"):
        yield "orbit", trajectories.orbit(cameras, options.num_views)


def output_folder(trained: TrainedScene, name: str) -> Path:
    """<model>/<name>/ours_<iteration>."""
    return trained.model_path / name / f"ours_{trained.iteration}"


def next_command(job: Job) -> str:
    """What to run after this."""
    model_path = job.trained.model_path
    if job.trained.model.features is not None:
        return f"python segment.py -m {model_path} --point X Y --view K"
    return f"python metrics.py -m {model_path}"


if __name__ == "__main__":
    run(main)
