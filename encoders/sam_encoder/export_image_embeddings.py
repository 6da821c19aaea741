"""SAM's embeddings of pictures as `<stem>_fmap_CxHxW.pt` files, in the layout of Feature 3DGS.

    python encoders/sam_encoder/export_image_embeddings.py --checkpoint sam_vit_h_4b8939.pth --model-type vit_h \\
        --input data/room/images --output data/room/sam_embeddings

Each file holds float32 [256, h, w]: the cells that lie on the picture. Pictures that have a file are left out.
`train.py -f sam` needs none of this: it makes its own maps.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tyro

from encoders.base import IMAGE_SUFFIXES
from encoders.sam_net.frame import Frame
from encoders.sam_net.segmenter import DEFAULT, Segmenter, read_rgb
from utils.errors import UserError
from utils.files import save_torch
from utils.progress import Progress, say
from utils.script import run


@dataclass(frozen=True)
class ExportOptions:
    """Which pictures, which network."""

    input: str
    """A picture, or a folder of pictures (sub-folders are not searched)."""
    output: str
    """Folder to write."""
    checkpoint: str = ""
    """A sam_vit_*.pth file; empty = found or downloaded; random = a tiny network without knowledge, to try this out."""
    model_type: Literal["default", "vit_h", "vit_l", "vit_b"] = DEFAULT
    """Size of the network; default = what the checkpoint holds, vit_h without one."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    compat_bgr: bool = False
    """Swap red and blue, as Feature 3DGS's own script did."""


def main() -> None:
    """Read the command line and write the embeddings."""
    options = tyro.cli(ExportOptions, description=__doc__, use_underscores=True)
    output = Path(options.output)
    pictures = find_pictures(Path(options.input))
    waiting = [(path, target) for path in pictures if not (target := output / f"{path.stem}_fmap_CxHxW.pt").exists()]
    say(f"{len(pictures)} pictures, {len(pictures) - len(waiting)} of them have a file in {output}")
    if not waiting:
        return
    segmenter = Segmenter(options.checkpoint, options.model_type, options.device)
    with Progress(len(waiting)) as progress:
        for number, (path, target) in enumerate(waiting, start=1):
            image = read_rgb(path)
            columns, rows = Frame(image.shape[1], image.shape[0]).cells
            embedding = segmenter.embed(image[..., ::-1] if options.compat_bgr else image)
            save_torch(target, embedding[:, :rows, :columns].cpu().clone())
            progress.update(number)
    say(f"{len(waiting)} embeddings written to {output}")


def find_pictures(path: Path) -> list[Path]:
    """The picture itself, or those in a folder, sorted; their names must differ before the suffix."""
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    pictures = [file for file in candidates if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    if not pictures:
        raise UserError(f"{path} is neither a picture nor a folder of pictures; expected one of them; check --input")
    stems = [picture.stem for picture in pictures]
    if len(set(stems)) < len(stems):
        double = next(stem for stem in stems if stems.count(stem) > 1)
        raise UserError(f"{path} has several pictures called '{double}'; expected one file each; rename one")
    return pictures


if __name__ == "__main__":
    run(main)
