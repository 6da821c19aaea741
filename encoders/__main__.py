"""Make the feature maps of a scene: python -m encoders -f TEACHER -s DATA.

    python -m encoders -f classical -s data/fox
    python -m encoders -f label -s data/fox --label_src "car,building,tree"
    python -m encoders -f lseg -s data/fox --weights demo_e200.ckpt --pca 64
    torchrun --nproc_per_node 8 -m encoders -f dinov2 -s data/fox --set model=vitb14

Stopped runs go on where they were. `--export FOLDER` also writes `<stem>_fmap_CxHxW.pt` files.
"""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from encoders import (
    LEGACY_FOLDERS,
    TeacherRecord,
    build_cache,
    find_cache_folder,
    make_teacher,
    open_features,
    scene_images,
)
from encoders.ade20k import read_label_set
from encoders.base import find_images
from encoders.cache import CacheFolder
from encoders.label import label_maps_from_features, write_label_maps
from encoders.network import NetworkTeacher, Runtime
from encoders.text import encode_prompts, open_text_encoder
from utils.errors import UserError
from utils.files import save_torch
from utils.progress import say
from utils.script import run


@dataclass(frozen=True)
class EncoderOptions:
    """Which teacher, on what."""

    source_path: Annotated[str, tyro.conf.arg(aliases=["-s"])]
    """Folder of the data set, or of pictures."""
    foundation_model: Annotated[str, tyro.conf.arg(aliases=["-f"])] = "classical"
    """Teacher, e.g. lseg, dinov2, sam, clip, classical, oracle."""
    images: Annotated[str, tyro.conf.arg(aliases=["-i"])] = "images"
    """Sub-folder of the pictures."""
    feature_cache: str = ""
    """Folder to write; empty = <source>/features/<teacher>."""
    weights: str = ""
    """Weight file of the teacher; empty = looked for in the usual places, then downloaded."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Option of the teacher as NAME=VALUE, e.g. model=vitb14; may be repeated."""
    pca: int = 0
    """Store maps in so many leading directions of the scene; 0 = all channels."""
    label_src: str = ""
    """-f label only: class names, a,b,c or a file of them; empty = the 150 of ADE20K."""
    label_teacher: str = "lseg"
    """-f label only: the teacher whose words and maps decide the classes."""
    export: str = ""
    """Folder that also gets one <stem>_fmap_CxHxW.pt per picture, the layout of Feature 3DGS."""
    runtime: tyro.conf.OmitArgPrefixes[Runtime] = field(default_factory=Runtime)


def main() -> None:
    """Read the command line and make the cache; all pictures shape the teacher."""
    chosen = tyro.cli(EncoderOptions, description=__doc__, use_underscores=True)
    source = Path(chosen.source_path)
    if not source.is_dir():
        raise UserError(f"{source} is not a folder; expected a data set; check -s")
    if chosen.foundation_model == "label":
        make_label_maps(chosen)
    else:
        make_feature_maps(chosen)


def make_label_maps(chosen: EncoderOptions) -> None:
    """Class ids of all pictures: the word that is nearest to the teacher's feature."""
    names = read_label_set(chosen.label_src)
    options = teacher_options(chosen)
    pictures = find_images(Path(chosen.source_path), chosen.images)
    maps = open_features(chosen.source_path, chosen.label_teacher, "", pictures, options=options)
    dim = maps.dim if maps.basis is None else maps.basis.shape[0]
    words = open_text_encoder(TeacherRecord(chosen.label_teacher, dim, maps.record_options), chosen.weights)
    folder = find_cache_folder(Path(chosen.source_path), "label", chosen.feature_cache)
    write_label_maps(folder, label_maps_from_features(maps, encode_prompts(words, names)), names)
    say(f"labels: {len(maps.names)} maps of {len(names)} classes in {folder}")
    say(next_command(chosen))


def make_feature_maps(chosen: EncoderOptions) -> None:
    """The maps of a teacher, and their export."""
    source = Path(chosen.source_path)
    teacher = make_teacher(chosen.foundation_model, teacher_options(chosen))
    if isinstance(teacher, NetworkTeacher):
        teacher.runtime = local_runtime(chosen.runtime)
    folder = find_cache_folder(source, teacher.name, chosen.feature_cache)
    maps = build_cache(teacher, scene_images(source, find_images(source, chosen.images)), folder, width=chosen.pca)
    if maps is None:
        return
    if chosen.export:
        export_maps(maps, Path(chosen.export))
    say(next_command(chosen))


def teacher_options(chosen: EncoderOptions) -> dict[str, Any]:
    """`--set` and `--weights` as keywords; values are numbers, True, False, or text."""
    options: dict[str, Any] = {"weights": chosen.weights} if chosen.weights else {}
    for pair in chosen.set:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise UserError(f"--set {pair} is no option; expected NAME=VALUE, e.g. --set model=vitb14")
        try:
            options[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[name] = text
    return options


def local_runtime(runtime: Runtime) -> Runtime:
    """Each process that `torchrun` starts on a machine takes a GPU of its own."""
    local = os.environ.get("LOCAL_RANK")
    if local is None or runtime.device != "auto" or not torch.cuda.is_available():
        return runtime
    return replace(runtime, device=f"cuda:{int(local) % torch.cuda.device_count()}")


def export_maps(maps: CacheFolder, folder: Path) -> None:
    """Write every map as `<stem>_fmap_CxHxW.pt`, fp16 [C, h, w]; shortened maps at their full width."""
    for key in maps.names:
        features = maps.get(key)
        if maps.basis is not None:
            features = torch.einsum("khw,ck->chw", features.float(), maps.basis)
        save_torch(folder / f"{key}_fmap_CxHxW.pt", features.half().contiguous())
    say(f"exported: {len(maps.names)} files in {folder}")


def next_command(chosen: EncoderOptions) -> str:
    """What to run after this."""
    words = ["next: python train.py", "-s", chosen.source_path, "-f", chosen.foundation_model]
    legacy = Path(chosen.source_path) / LEGACY_FOLDERS.get(chosen.foundation_model, ".")
    if chosen.feature_cache or (chosen.foundation_model in LEGACY_FOLDERS and legacy.is_dir()):
        words += ["--feature_cache", chosen.feature_cache or f"{chosen.source_path}/features/{chosen.foundation_model}"]
    return " ".join(words)


if __name__ == "__main__":
    run(main)
