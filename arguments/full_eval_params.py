"""Options of full_eval.py. Each field is a flag of the same name; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg


@dataclass(frozen=True)
class FullEvalParams:
    """Which published scenes are trained, rendered and measured, and how."""

    mipnerf360: Annotated[str, arg(aliases=["-m360"])] = ""
    """Folder with the scenes of Mip-NeRF 360."""
    tanksandtemples: Annotated[str, arg(aliases=["-tat"])] = ""
    """Folder with truck and train of Tanks and Temples."""
    deepblending: Annotated[str, arg(aliases=["-db"])] = ""
    """Folder with drjohnson and playroom of Deep Blending."""
    output_path: Annotated[str, arg(aliases=["-o"])] = "./eval"
    """Folder with a model folder for each scene; trained models with --skip_training."""
    model_paths: Annotated[tuple[str, ...], arg(aliases=["-m"])] = ()
    """Only measure these folders of rendered views; no data sets are needed."""
    skip_training: bool = False
    """Use models that are in --output_path."""
    skip_rendering: bool = False
    """Use pictures that were rendered before."""
    skip_metrics: bool = False
    """Measure nothing."""
    fast: bool = False
    """Train with --optimizer_type sparse_adam."""
    aa: bool = False
    """Train and render with --antialiasing."""
    use_depth: bool = False
    """Train with the depth maps in depths2/ of each scene."""
    use_expcomp: bool = False
    """Train with an exposure for each image, by graphdeco's protocol (--train_test_exp)."""
    iterations: tuple[int, ...] = (7000, 30_000)
    """Steps that are saved and rendered; the last one ends the training."""
    train_args: str = ""
    """More words for train.py, as in --train_args="-r 8"."""
    render_args: str = ""
    """More words for render.py, as in --render_args="-r 8"."""
    lpips_weights: tuple[str, ...] = ()
    """Weight files for LPIPS, as in metrics.py."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
