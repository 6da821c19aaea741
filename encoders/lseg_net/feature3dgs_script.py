"""The LSeg script of Feature 3DGS: its flags, and the files that it writes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from arguments import parse
from encoders.ade20k import read_label_set
from encoders.base import SceneImages, keyed
from encoders.lseg import DEFAULT_BACKBONE, RANDOM, LSegTeacher
from encoders.lseg_net.label_pictures import label_colors, write_legend, write_mask, write_overlay
from encoders.network import Runtime
from encoders.record import TeacherRecord
from encoders.text import encode_prompts, open_text_encoder
from utils.errors import UserError
from utils.files import save_torch
from utils.image_io import read_image, resize_uint8, write_png
from utils.pca import Pca, fit_pca
from utils.progress import say

SUFFIXES = (".png", ".jpg", ".jpeg")
SMALL_DATA_SETS = ("Replica_Dataset", "scannnet")  # in the path: pictures of these are worked on at 320x240
SMALL_WIDTH = 320
PCA_FILE = "pca.safetensors"
PCA_STEP = 3  # every how-manyth pixel shapes the colours of the features


@dataclass(frozen=True)
class LSegScriptOptions:
    """Which pictures, how."""

    test_rgb_dir: str
    """Folder of pictures."""
    outdir: str = "outdir_ours"
    """Folder to write."""
    weights: str = ""
    """Checkpoint of LSeg, e.g. demo_e200.ckpt; empty = looked for in the usual places, then downloaded."""
    backbone: Literal["clip_vitl16_384", "clip_vitb32_384", "clipRN50x16_vitl16_384", "small"] = DEFAULT_BACKBONE
    """Variant of the network; small is only for --random_init."""
    label_src: str = "default"
    """Classes of the masks: a,b,c or a file of words; default = the 150 of ADE20K."""
    mode: Literal["feature3dgs", "fast", "sliding", "dgd"] = "feature3dgs"
    """feature3dgs = windows at four scales, summed, as that program; fast = one look and its mirror image."""
    random_init: bool = False
    """Use a network that has learned nothing, to try the command line without weights."""
    workers: int = 16
    """Threads that read pictures."""
    cuda: bool = True
    """--no_cuda computes on the CPU."""


@dataclass(frozen=True)
class IgnoredOptions:
    """Flags of the old script that never mattered for the maps; accepted, without effect."""

    widehead: bool = False
    """Without effect."""
    widehead_hr: bool = False
    """Without effect."""
    scaleinv: bool = True
    """Without effect."""
    resize_max: float = 1.25
    """Without effect."""
    model: str = "encnet"
    """Without effect."""
    dataset: str = "ignore"
    """Without effect."""
    data_path: str = ""
    """Without effect."""
    base_size: int = 520
    """Without effect."""
    crop_size: int = 480
    """Without effect."""
    train_split: str = "train"
    """Without effect."""
    aux: bool = False
    """Without effect."""
    se_loss: bool = False
    """Without effect."""
    se_weight: float = 0.2
    """Without effect."""
    batch_size: int = 16
    """Without effect."""
    test_batch_size: int = 16
    """Without effect."""
    seed: int = 1
    """Without effect."""
    eval: bool = False
    """Without effect."""
    export: bool = False
    """Without effect."""
    acc_bn: bool = False
    """Without effect."""
    test_val: bool = False
    """Without effect."""
    val: bool = True
    """Without effect."""
    module: str = "lseg"
    """Without effect."""
    ignore_index: int = -1
    """Without effect."""
    jobname: str = "default"
    """Without effect."""
    strict: bool = True
    """Without effect."""
    arch_option: int = 0
    """Without effect."""
    block_depth: int = 0
    """Without effect."""
    activation: str = "lrelu"
    """Without effect."""


def encode_images(description: str, normalise: bool) -> None:
    """Read the command line and write maps, masks and pictures of all images.

    Args:
        description: for `--help`.
        normalise: make the features unit vectors.
    """
    options, ignored = parse(description, LSegScriptOptions, IgnoredOptions)
    say_ignored(ignored)
    images = find_pictures(Path(options.test_rgb_dir))
    teacher = make_teacher(options, normalise)
    names = read_label_set(options.label_src)
    record = TeacherRecord(teacher.name, teacher.dim, teacher.options())
    words = encode_prompts(open_text_encoder(record, teacher.weights), names)
    writer = MapWriter(Path(options.outdir), names, words)
    for key, features, _ in teacher.encode_scene(images):
        writer.write(key, read_image(images.paths[key])[..., :3], torch.from_numpy(features))
    say(f"{len(images.paths)} maps of {teacher.dim} channels written to {options.outdir}")


def say_ignored(ignored: IgnoredOptions) -> None:
    """Name the flags that were given for nothing."""
    defaults = IgnoredOptions()
    given = [f.name for f in dataclasses.fields(ignored) if getattr(ignored, f.name) != getattr(defaults, f.name)]
    if given:
        say(f"without effect: {', '.join(given)}")


def find_pictures(folder: Path) -> SceneImages:
    """The pictures of a folder, without its sub-folders."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    paths = keyed({path.name: path for path in files if path.suffix.lower() in SUFFIXES})
    if not paths:
        raise UserError(f"{folder} has no {', '.join(SUFFIXES)}; expected a folder of pictures; check --test-rgb-dir")
    return SceneImages(folder, paths, frozenset(paths))


def make_teacher(options: LSegScriptOptions, normalise: bool) -> LSegTeacher:
    """The teacher that the command line describes."""
    small = options.mode == "feature3dgs" and any(name in options.test_rgb_dir for name in SMALL_DATA_SETS)
    teacher = LSegTeacher(
        weights=RANDOM if options.random_init else options.weights,
        mode=options.mode,
        long_side=SMALL_WIDTH if small else 0,
        normalise=normalise,
        backbone=options.backbone,
    )
    teacher.runtime = Runtime(device="auto" if options.cuda else "cpu", workers=max(1, options.workers))
    return teacher


class MapWriter:
    """Writes what belongs to a picture; the first one decides the colours of the features.

    Args:
        folder: to write into.
        names: the K classes of the masks.
        words: their unit vectors [K, C].
    """

    def __init__(self, folder: Path, names: tuple[str, ...], words: Tensor) -> None:
        self.folder, self.names, self.words = folder, names, words
        self._colors = label_colors(len(names))
        self._pca: Pca | None = None

    def write(self, key: str, image: np.ndarray, features: Tensor) -> None:
        """Files of the picture `image` [H, W, 3] uint8 with the map [h, w, C]."""
        height, width, _ = features.shape
        save_torch(self.folder / f"{key}_fmap_CxHxW.pt", features.permute(2, 0, 1).half().contiguous())
        ids = (features @ self.words.T).argmax(2).numpy()  # lengths do not change which cosine is the largest
        write_mask(self.folder / f"{key}.png", ids, self._colors)
        shrunk = resize_uint8(image, width, height)
        write_overlay(self.folder / f"{key}.png_vis.png", shrunk, ids, self._colors)
        write_legend(self.folder / f"{key}.png_legend.png", ids, self.names, self._colors)
        self._write_colors(key, F.normalize(features, dim=2))

    def _write_colors(self, key: str, unit: Tensor) -> None:
        if self._pca is None:
            self._pca = fit_pca(unit.flatten(0, 1)[::PCA_STEP])
            self._pca.save(self.folder / PCA_FILE)
        write_png(self.folder / f"{key}.png_feature_vis.png", self._pca.apply(unit).permute(2, 0, 1))
