"""What a run leaves in its model folder besides the Gaussians, and how an earlier run there is kept."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from arguments import ModelParams, save_config, save_legacy_args
from scene import PointCloud, Scene
from scene.formats.ply import write_points
from scene.gaussian_model import GaussianModel
from scene.scene import SIZE_OF_TEACHER
from training.distillation import Distiller
from training.options import RunOptions
from utils.files import write_json
from utils.progress import say, warn
from utils.spherical_harmonics import sh_to_rgb

EARLIER_RUNS = "earlier_runs"
RESULT_NAMES = (
    "cfg_args",
    "config.json",
    "cameras.json",
    "input.ply",
    "exposure.json",
    "image_sizes.json",
    "label_classes.json",
    "teacher.json",
    "metrics.jsonl",
    "results.json",
    "per_view.json",
    "point_cloud",
    "deform",
    "train",
    "test",
    "novel_views",
    "novel_views_multi_interpolate",
    "novel_video",
    "orbit",
    "circle",
    "spiral",
    "camera_path",
    "video",
    "segment",
    "viewer",
)
RESULT_PATTERNS = (
    *("chkpnt*.pth", "decoder_chkpnt*.pth", "layer_save_*.pth", "events.out.tfevents*"),
    *("videos_*", "seg_*", "ply_sequence_*"),
)
TRAINED = ("point_cloud/iteration_*/point_cloud.ply", "chkpnt*.pth")  # what makes a folder worth keeping


def set_aside_earlier_run(model_path: Path, kept: Sequence[str] = ()) -> None:
    """Move the results of an earlier run in this folder to `earlier_runs/<number>`, so that nothing is overwritten.

    Nothing moves if one of the files `kept` (which this run starts from) lies in the folder.
    """
    inside = any(path and model_path.resolve() in Path(path).resolve().parents for path in kept)
    if inside or not any(any(model_path.glob(pattern)) for pattern in TRAINED):
        return
    number = 1
    while (target := model_path / EARLIER_RUNS / str(number)).exists():
        number += 1
    target.mkdir(parents=True)
    found = [model_path / name for name in RESULT_NAMES if (model_path / name).exists()]
    found += [path for pattern in RESULT_PATTERNS for path in sorted(model_path.glob(pattern))]
    for path in found:
        path.rename(target / path.name)
    warn(f"{model_path} held an earlier run; it was moved to {target} (--resume would have continued it)")


def write_run_description(
    options: RunOptions, scene: Scene, model: GaussianModel, distiller: Distiller | None = None
) -> None:
    """Write config.json, cfg_args, cameras.json and input.ply (graphdeco's layout of the model folder).

    With a teacher also what its features or labels are, and with `-r 0` the sizes of the images.
    """
    folder = Path(options.model.model_path)
    fresh = replace(options.train, resume=False)  # how this run was started is no option for the next one
    save_config(
        folder,
        options.model,
        options.pipeline,
        options.optimization,
        options.semantic,
        options.motion,
        fresh,
        options.tracking,
    )
    if model.layers.sh_degree > options.model.sh_degree:  # viewers read from it how wide the PLY is
        save_legacy_args(folder, replace(options.model, sh_degree=model.layers.sh_degree))
    write_json(folder / "cameras.json", scene.camera_records())
    if distiller is not None:
        distiller.write_description(folder)
    if options.model.resolution == SIZE_OF_TEACHER:
        scene.write_sizes(folder)
    if not (options.train.resume and (folder / "input.ply").exists()):
        write_points(folder / "input.ply", _initial_points(scene, model))


def resume_command(model: ModelParams) -> str:
    """The command that continues a run; flags that belong to the machine are repeated, all others are saved."""
    words = ["python", "train.py", "-m", model.model_path, "--resume"]
    for name in ("device", "backend", "data_device"):
        if getattr(model, name) != "auto":
            words += [f"--{name}", getattr(model, name)]
    return shlex.join(words)


def say_next_commands(options: RunOptions) -> None:
    """Print what one does with a trained model."""
    folder = shlex.quote(options.model.model_path)
    say(f"trained: {folder}. Next:")
    say(f"  python render.py -m {folder}")
    if options.semantic.foundation_model:
        say(f"  python segment.py -m {folder} --point X Y --view 0")
    if options.model.eval:
        say(f"  python metrics.py -m {folder}   (after render.py)")


def _initial_points(scene: Scene, model: GaussianModel) -> PointCloud:
    if scene.info.points is not None:
        return scene.info.points
    colors = sh_to_rgb(model.params["f_dc"].detach()[:, 0]).clamp(0.0, 1.0)
    return PointCloud(model.means.detach().cpu().numpy(), colors.cpu().numpy())
