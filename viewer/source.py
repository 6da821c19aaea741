"""What is looked at: a model, finished or in training, with what is known about its data set and its features."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from arguments import ModelParams, PipelineParams, SemanticParams, ViewParams
from encoders.record import TeacherRecord
from gaussian_renderer import RenderSettings
from gaussian_renderer.camera_file import read_cameras
from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.feature_space import comparable_rows
from gaussian_renderer.time_paths import distinct_times
from gaussian_renderer.trained import TrainedScene, resolve_iteration, saved_iteration_folder, trained_on
from gaussian_renderer.trajectories import sorted_by_name
from scene import Scene
from scene.cameras import Camera
from scene.formats import read_splats
from scene.gaussian_model import GaussianModel
from scene.image_store import ImageStore
from scene.motion.files import motion_beside
from scene.scene_info import DatasetError, SceneInfo
from utils.devices import choose_device
from utils.progress import say, warn
from utils.script import describe
from viewer.client_cameras import Surroundings
from viewer.row_groups import RowGroup, read_groups


@dataclass(frozen=True)
class Snapshot:
    """The model as it is now."""

    model: GaussianModel
    decoder: LinearDecoder | None = None
    rows: Hashable = 0
    """As long as this is the same, row i is the same Gaussian."""
    values: Hashable = 0
    """As long as this is the same, nothing has changed."""


@dataclass(frozen=True)
class Source:
    """A model to look at; `now` is asked on the thread that owns it only."""

    now: Callable[[], Snapshot]
    settings: RenderSettings
    background: Tensor | None  # [3]; None = black
    folder: Path
    """Where the viewer writes."""
    surroundings: Surroundings
    train: tuple[Camera, ...] = ()
    test: tuple[Camera, ...] = ()
    images: ImageStore | None = None
    """The photographs, if they are there."""
    classes: tuple[str, ...] = ()
    """Of a label model."""
    blends_probabilities: bool = False
    """Of a label model: views blend class probabilities rather than logits."""
    teacher: TeacherRecord | None = None
    groups: tuple[RowGroup, ...] = ()
    model_path: Path | None = None
    """Model folder; None for a splat file alone."""
    basis_path: Path | None = None
    """Where the colours of features are kept; None = not at all."""
    text_weights: str = ""
    iteration: int | None = None
    """Saved step that is shown."""

    @cached_property
    def views(self) -> tuple[Camera, ...]:
        """All photographed views, training views first, each kind by name."""
        return (*sorted_by_name(self.train), *sorted_by_name(self.test))

    @cached_property
    def vantages(self) -> tuple[Camera, ...]:
        """Views from which the whole scene is seen: those of the training, or made-up ones."""
        return self.train or self.surroundings.vantages()

    @cached_property
    def times(self) -> tuple[float, ...]:
        """Moments of the photographs, rising; two ends where there are no photographs."""
        return tuple(distinct_times(self.train)) if self.train else (0.0, 1.0)

    def comparable(self, snapshot: Snapshot) -> Tensor:
        """[N, D] with the cosines of the teacher's space; of a label model class probabilities."""
        features = snapshot.model.features.detach()
        with torch.no_grad():
            return features.softmax(1) if self.classes else comparable_rows(features, snapshot.decoder)


def open_source(model: ModelParams, pipeline: PipelineParams, semantic: SemanticParams, options: ViewParams) -> Source:
    """What view.py is asked to show."""
    settings = RenderSettings(model.backend, pipeline.antialiasing)
    if options.ply:
        return replace(_of_file(Path(options.ply), model, settings), text_weights=options.text_weights)
    iteration = resolve_iteration(model.model_path, options.iteration)
    scene = _open_scene(model)
    trained = trained_on(scene, model, iteration)
    ply = saved_iteration_folder(model.model_path, iteration) / "point_cloud.ply"
    dim = trained.model.feature_dim if trained.decoder is None else trained.decoder.teacher_dim
    return Source(
        now=_always(Snapshot(trained.model, trained.decoder)),
        settings=settings,
        background=trained.background,
        folder=trained.model_path / "viewer",
        surroundings=_surroundings(scene, trained),
        train=scene.train,
        test=scene.test,
        images=scene.images,
        classes=trained.classes,
        blends_probabilities=semantic.label_loss == "nll_prob",
        teacher=TeacherRecord.load(trained.model_path, semantic.foundation_model, dim) if dim else None,
        groups=read_groups(ply, len(trained.model)),
        model_path=trained.model_path,
        basis_path=trained.basis_path,
        text_weights=options.text_weights,
        iteration=iteration,
    )


def without_photographs(model: ModelParams) -> Scene:
    """A scene of the cameras in `cameras.json` of a model folder, whose photographs are not there."""
    cameras = tuple(read_cameras(Path(model.model_path) / "cameras.json"))
    info = SceneInfo(train=(), test=(), points=None, root=Path(model.model_path), reader="cameras.json")
    device = choose_device(model.device)
    return Scene(info, cameras, (), 1.0, ImageStore(cameras, device, prefetch=False))


def _open_scene(model: ModelParams) -> Scene:
    try:
        return Scene.open(model, choose_device(model.device))
    except (DatasetError, OSError) as error:
        if not (Path(model.model_path) / "cameras.json").is_file():
            raise
        warn(f"{describe(error)}; the model is shown without photographs")
        return without_photographs(model)


def _of_file(ply: Path, model: ModelParams, settings: RenderSettings) -> Source:
    """A splat file, and the data set of -s if one is given."""
    device = choose_device(model.device)
    motion = motion_beside(ply, device)
    gaussians = GaussianModel.from_arrays(read_splats(ply), device)
    gaussians = gaussians if motion is None else gaussians.with_motion(motion)
    for parameter in gaussians.params.values():
        parameter.requires_grad_(False)
    scene = Scene.open(model, device) if model.source_path else None
    say(f"model: {len(gaussians)} Gaussians of {ply}, SH degree {gaussians.max_sh_degree}")
    around = Surroundings.of_points(gaussians.means) if scene is None else Surroundings.of_views(scene.train)
    return Source(
        now=_always(Snapshot(gaussians)),
        settings=settings,
        background=torch.full((3,), 1.0 if model.white_background else 0.0, device=device),
        folder=ply.parent / f"{ply.stem}_viewer",
        surroundings=around,
        groups=read_groups(ply, len(gaussians)),
        **({} if scene is None else {"train": scene.train, "test": scene.test, "images": scene.images}),
    )


def _surroundings(scene: Scene, trained: TrainedScene) -> Surroundings:
    views: Sequence[Camera] = (*scene.train, *scene.test)
    return Surroundings.of_views(views) if len(views) > 1 else Surroundings.of_points(trained.model.means)


def _always(snapshot: Snapshot) -> Callable[[], Snapshot]:
    return lambda: snapshot
