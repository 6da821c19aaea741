"""Trains Gaussians on the images of a data set, and with `-f TEACHER` distils the teacher's features into them.

    python train.py -s data/scene -m output/run --eval
    python train.py -s data/scene -m output/run -f classical
    python train.py -m output/run --resume

Writes <model>/point_cloud/iteration_<N>/point_cloud.ply, config.json, metrics.jsonl and, on demand, checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from ndraster.backends import choose_backend

from arguments import (
    MOVING_ITERATIONS,
    ModelParams,
    MotionParams,
    OptimizationParams,
    PipelineParams,
    SemanticParams,
    TrackingParams,
    TrainParams,
    combined,
    implied_preset,
    merge_saved,
    moving_preset,
    parse,
    resolve_paths,
    tracking_preset,
    usual_first_iterations,
)
from encoders import LEGACY_FOLDERS, FeatureMaps, open_features
from encoders.label_maps import open_label_maps
from scene import GaussianModel, Scene, SceneInfo
from scene.checkpoint import checkpoint_path
from scene.datasets import read_scene
from scene.initialization import InitOptions, from_ply, initial_model
from scene.motion import Motion, make_motion
from scene.motion.files import motion_beside
from scene.motion.setup import motion_kind, motion_setup, resolved
from scene.scene import SIZE_OF_TEACHER, read_options
from training import mcmc, state
from training.distillation import Distiller, DistillPlan, image_sizes
from training.features import FeatureDistiller
from training.finished_moments import newest_state, read_state
from training.frozen_trainer import FrozenTrainer
from training.labels import LabelDistiller
from training.lifting import lift_if_missed
from training.options import LABEL_TEACHER, RunOptions, check_options, check_source
from training.output_folder import say_next_commands, set_aside_earlier_run, write_run_description
from training.over_layers import over_layers, warn_without_alpha
from training.resting import let_rest
from training.trainer import Trainer
from utils.devices import choose_device
from utils.image_io import training_size
from utils.progress import say, set_quiet, warn
from utils.script import run
from utils.seeds import set_seed
from viewer.observer import check_viewer, watched

DESCRIPTION = "Train Gaussians on the images of a data set."
GROUPS = (
    ModelParams,
    PipelineParams,
    OptimizationParams,
    SemanticParams,
    MotionParams,
    TrainParams,
    TrackingParams,
)


def main(args: Sequence[str] | None = None) -> None:
    """Train what the command line asks for; `args` stands in for it."""
    options, info = read_command_line(args)
    set_quiet(options.train.quiet)
    check_options(options)
    check_viewer(options.train)
    set_seed(options.model.seed)
    torch.autograd.set_detect_anomaly(options.train.detect_anomaly)
    checkpoint = find_checkpoint(options)
    saved = read_state(options, checkpoint) if checkpoint is not None else None
    trainer = build_trainer(options, info, saved)
    if saved is not None:
        continue_from(trainer, checkpoint, saved)
    with closing(trainer.scene.images), watched(trainer, options.model, options.semantic, options.train) as viewers:
        trainer.observer = viewers
        trainer.run()
    say_next_commands(options)


def read_command_line(args: Sequence[str] | None) -> tuple[RunOptions, SceneInfo]:
    """The command line, with --resume on top of what was saved with the run, and the data set that it names.

    Whether something moves there decides on the defaults.
    """
    groups = parse(DESCRIPTION, *GROUPS, args=args)
    if groups[GROUPS.index(TrainParams)].resume:
        groups = merge_saved(DESCRIPTION, *GROUPS, args=args)
    options = RunOptions(*groups)
    check_source(options.model)
    info = read_scene(options.model.source_path, read_options(options.model))
    kind = motion_kind(info, options.motion)
    implied = implied_preset(options.model, options.optimization)
    if (kind != "static" or implied) and not options.train.resume:
        options = RunOptions(*parse_again(args, options, info, kind))
    options = replace(options, model=resolve_paths(options.model), motion=resolved(info, options.motion))
    return with_labels_of_label3dgs(options), info


def parse_again(args: Sequence[str] | None, first: RunOptions, info: SceneInfo, kind: str) -> tuple:
    """The command line on top of the defaults of what it asks for, and of scenes that move in this way."""
    if kind == "per_timestep":
        return parse_tracking(args, first, info)
    if kind != "static":
        return parse_moving(args, first, bool(first.semantic.foundation_model), first.motion.compat)
    return parse(DESCRIPTION, *GROUPS, args=args, preset=implied_preset(first.model, first.optimization))


def parse_tracking(args: Sequence[str] | None, options: RunOptions, info: SceneInfo) -> tuple:
    """The command line on top of the defaults of rigs, which depend on the moments and the pictures of the first."""
    resolution, times = options.model.resolution or 1, [camera.time for camera in info.train]
    sizes = [training_size(c.width, c.height, resolution) for c in info.train if c.time == min(times)]
    shape = len(set(times)), sum(width * height for width, height in sizes)
    first = usual_first_iterations(options.tracking, len(sizes))
    options = replace(options, tracking=replace(options.tracking, first_iterations=first))
    for _ in range(2):
        implied = implied_preset(options.model, options.optimization)
        preset = combined(implied, tracking_preset(options.tracking, *shape))
        groups = parse(DESCRIPTION, *GROUPS, args=args, preset=preset)
        options = RunOptions(*groups)
    return groups


def parse_moving(args: Sequence[str] | None, options: RunOptions, distils: bool, compat: bool) -> tuple:
    """The command line on top of the defaults of moving scenes, which depend on the number of iterations."""
    iterations = MOVING_ITERATIONS
    for _ in range(2):
        implied = implied_preset(options.model, replace(options.optimization, iterations=iterations))
        preset = combined(implied, moving_preset(iterations, distils, compat))
        groups = parse(DESCRIPTION, *GROUPS, args=args, preset=preset)
        iterations = groups[GROUPS.index(OptimizationParams)].iterations
    return groups


def with_labels_of_label3dgs(options: RunOptions) -> RunOptions:
    """`-f lseg` means labels where Label-3DGS has put labels, and no features, into LSeg's folder."""
    folder = Path(options.semantic.feature_cache or Path(options.model.source_path) / LEGACY_FOLDERS["lseg"])
    has_labels = next(folder.glob("*_label_CxHxW.pt"), None) and not next(folder.glob("*_fmap_CxHxW.pt"), None)
    if options.semantic.foundation_model != "lseg" or not has_labels:
        return options
    say(f"{folder} holds labels: -f {LABEL_TEACHER} instead of lseg")
    return replace(options, semantic=replace(options.semantic, foundation_model=LABEL_TEACHER))


def find_checkpoint(options: RunOptions) -> Path | None:
    """The checkpoint, or the folder of a rig's finished moments, to continue from, if any."""
    if options.train.resume:
        newest = newest_state(options)
        if newest is None:
            warn(f"{options.model.model_path} holds no checkpoint yet; starting from the beginning")
        return newest
    return Path(options.train.start_checkpoint) if options.train.start_checkpoint else None


def build_trainer(options: RunOptions, info: SceneInfo, saved: dict | None) -> Trainer:
    """Data set, teacher, model and loop; says what was found."""
    device = choose_device(options.model.device)
    scene, distiller = open_scene(options, info, device)
    warn_without_alpha(options.model, scene)
    width = distiller.width if distiller is not None else 0
    model = build_model(options, scene, width, device) if saved is None else restored_model(saved, width, device)
    model = model.with_motion(build_motion(options, scene, device))
    model = over_layers(model, options.train.load_layer, distiller)
    features = f", features {width} wide" if width else ""
    say(f"model: {model.num_gaussians} Gaussians, SH degree {model.max_sh_degree}{features}")
    say_schedule(options, model, distiller)
    backend = choose_backend(options.model.backend, model.means)
    say(f"device: {device}, backend {backend}, output {options.model.model_path}")
    if not options.train.resume:
        starts = (options.train.start_checkpoint, options.train.start_ply, options.train.load_layer)
        set_aside_earlier_run(Path(options.model.model_path), starts)
    write_run_description(options, scene, model, distiller)
    if options.train.freeze_geometry:
        return FrozenTrainer(options, scene, model, distiller)
    return Trainer(options, scene, model, distiller)


def say_schedule(options: RunOptions, model: GaussianModel, distiller: Distiller | None) -> None:
    """When the motion and the features learn; of a scene in which nothing moves there is nothing to say."""
    if model.motion.is_static:
        return
    iterations = options.optimization.iterations
    say(f"motion: {model.motion.describe(iterations)}")
    if distiller is not None:
        say(f"features: {distiller.plan.describe(iterations)}")


def open_scene(options: RunOptions, info: SceneInfo, device: torch.device) -> tuple[Scene, Distiller | None]:
    """The data set and the teacher, which with -r 0 decides the size of the images."""
    by_teacher = options.model.resolution == SIZE_OF_TEACHER
    scene = Scene.open(replace(options.model, resolution=1) if by_teacher else options.model, device, info)
    distiller = build_distiller(options, scene, device)
    if by_teacher:
        sizes = image_sizes(distiller, (*scene.train, *scene.test))
        scene = scene.resized(sizes, options.model.data_device)
    if not options.train.freeze_geometry:
        scene.images.prefetch_all(scene.train)
    return scene, distiller


def build_distiller(options: RunOptions, scene: Scene, device: torch.device) -> Distiller | None:
    """What `-f` asks of the Gaussians, or None without a teacher."""
    semantic = options.semantic
    if not semantic.foundation_model:
        return None
    plan = DistillPlan.from_options(semantic, options.optimization.iterations)
    if options.train.freeze_geometry:
        plan = DistillPlan.at_once(semantic)
    if semantic.foundation_model == LABEL_TEACHER:
        names = [camera.image_name for camera in scene.train]
        maps = open_label_maps(options.model.source_path, semantic.feature_cache, names)
        distiller = LabelDistiller(maps, semantic, plan, device)
    else:
        distiller = FeatureDistiller(open_maps(options, scene), semantic, plan, device)
    missing = distiller.check_coverage(scene.train)
    if missing:
        use = "are not used" if options.train.freeze_geometry else "train the colours only"
        warn(f"{missing} of {len(scene.train)} training images have no teacher map; they {use}")
    return distiller


def open_maps(options: RunOptions, scene: Scene) -> FeatureMaps:
    """The teacher's maps of all images of the scene; made if it is one of our teachers and they are not there."""
    semantic = options.semantic
    return open_features(
        options.model.source_path,
        semantic.foundation_model,
        semantic.feature_cache,
        image_paths={c.image_name: c.info.image_path for c in (*scene.train, *scene.test) if c.info is not None},
        fallback_dir=options.model.model_path,
        train_names=[camera.image_name for camera in scene.train],
        options={"weights": options.train.teacher_weights} if options.train.teacher_weights else None,
    )


def build_model(options: RunOptions, scene: Scene, width: int, device: torch.device) -> GaussianModel:
    """The Gaussians to start from: a PLY file, the data set's points, or random ones."""
    if options.train.start_ply:
        degree = None if options.train.freeze_geometry else options.model.sh_degree
        return from_ply(options.train.start_ply, degree, width, device)
    train, model = options.train, options.model
    init = InitOptions(train.init, train.init_count, model.sh_degree, feature_dim=width, seed=model.seed)
    if options.optimization.densification == "mcmc":
        init = replace(init, opacity=mcmc.INITIAL_OPACITY, size=mcmc.INITIAL_SIZE)
    return initial_model(scene.info, init, device)


def build_motion(options: RunOptions, scene: Scene, device: torch.device) -> Motion:
    """How the Gaussians move: a new motion, or that of the model whose Gaussians --start_ply names."""
    if options.train.start_ply and options.motion.motion != "static":
        found = motion_beside(Path(options.train.start_ply), device)
        if found is not None:
            return found
    setup = motion_setup(scene.info, options.motion, device, options.tracking, scene.extent)
    return make_motion(setup.params.motion, setup)


def restored_model(saved: dict, width: int, device: torch.device) -> GaussianModel:
    """The Gaussians of a checkpoint, with zero features if it was trained without."""
    model = GaussianModel.from_state_dict(saved["model"], device)
    if model.feature_dim == width:
        return model
    if model.feature_dim:
        warn(f"the checkpoint's features of width {model.feature_dim} are dropped; {width} are to be trained")
    return model.with_features(torch.zeros((len(model), width), device=device) if width else None)


def continue_from(trainer: Trainer, checkpoint: Path, saved: dict) -> None:
    """Restore the loop, and let a rolling checkpoint of this folder be replaced by the next one."""
    state.restore(trainer, saved)
    say(f"continuing after iteration {trainer.iteration} of {checkpoint}")
    lift_if_missed(trainer)
    if checkpoint.is_dir() and trainer.model.motion.seeks_rest(trainer.iteration):
        let_rest(trainer)
    is_own = checkpoint == checkpoint_path(trainer.model_path, trainer.iteration)
    if is_own and trainer.iteration not in trainer.options.train.checkpoint_iterations:
        trainer.rolling_checkpoint = checkpoint


if __name__ == "__main__":
    run(main)
