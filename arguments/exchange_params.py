"""Options of convert.py for models and cameras of other programs. Each field is a flag; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ExchangeParams:
    """How Gaussians and cameras go from one program to another (--mode splats, --mode cameras)."""

    layout: Literal["ours", "graphdeco", "feature3dgs", "label3dgs", "dgd", "deformable3dgs", "multilayer"] = "ours"
    """Output folder or checkpoint: the program that will open it."""
    merge: tuple[str, ...] = ()
    """Further splat files, checkpoints or model folders that are put into the same output."""
    selection: str = ""
    """selection.npz of segment.py: take these Gaussians of the input alone."""
    labels: tuple[int, ...] = ()
    """With --selection of several objects: take those with these numbers; left out = all that have one."""
    invert: bool = False
    """With --selection: take the other Gaussians instead."""
    layers: tuple[str, ...] = ()
    """Numbers (0 = the oldest) or names of the layers that are taken from a model; left out = all."""
    time: float = 0.0
    """Moment in 0..1 at which a moving model is taken where the output cannot move."""
    max_sh_degree: int | None = None
    """Degree 0 to 3 of the colours by direction in the output; left out = as it is."""
    features: bool = True
    """Keep features or labels where the output has room for them."""
    clean: bool = False
    """Leave out Gaussians that no picture can show, and those far away from all others."""
    checkpoint: bool = False
    """Output folder of another program: also write chkpnt<N>.pth, which its training can go on from."""
    classes: str = ""
    """File with the names of the classes of a label model, JSON list or one per line, in their channels' order."""
    camera_format: Literal["auto", "colmap", "transforms", "cameras", "nerfstudio", "gltf"] = "auto"
    """Cameras: what is written; auto = by the name: transforms.json, *.nerfstudio.json, .json, .gltf, or a folder."""
    dataparser: str = ""
    """Cameras from or to nerfstudio: dataparser_transforms.json of its training, whose world is not the data set's."""
