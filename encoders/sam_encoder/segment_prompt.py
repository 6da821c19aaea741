"""One object in all rendered views, from a point, a box or both, by SAM's decoder on rendered features.

    python encoders/sam_encoder/segment_prompt.py --checkpoint sam_vit_h_4b8939.pth --data output/room \\
        --iteration 7000 --point 500 800

The same prompt, in pixels of the rendered pictures, is used in every view; to follow an object through space use
`segment.py` of the project. A box and a point together mean: what is in the box, without the point. Writes
<data>/seg_{point|box|box_point}_<iteration>[_img]/<split>/<name>.png, and the masks into masks/ there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
import tyro

from encoders.rendered_views import RenderedView, rendered_views
from encoders.sam_net.decoder import Prompts
from encoders.sam_net.onnx_export import export_onnx, quantize_onnx
from encoders.sam_net.pictures import mark_prompt, overlay
from encoders.sam_net.segmenter import DEFAULT, Segmenter, read_features, read_rgb
from utils.colormaps import palette
from utils.errors import UserError
from utils.image_io import write_png
from utils.progress import Progress, say
from utils.script import run


@dataclass(frozen=True)
class PromptOptions:
    """Which model, which prompt."""

    data: str
    """Model folder with rendered views."""
    iteration: int
    """Iteration whose views are segmented."""
    checkpoint: str = ""
    """A sam_vit_*.pth file; empty = found or downloaded; random = networks without knowledge, to try this out."""
    model_type: Literal["default", "vit_h", "vit_l", "vit_b"] = DEFAULT
    """Size of the network; default = what the checkpoint holds, vit_h without one."""
    point: tuple[float, ...] = ()
    """Pixels X Y [X Y ...] on the object; with --box: on what does not belong to it."""
    negative: tuple[float, ...] = ()
    """Pixels X Y [X Y ...] that do not belong to the object."""
    box: tuple[float, float, float, float] | None = None
    """Pixels X1 Y1 X2 Y2 around the object."""
    image: bool = False
    """Encode the rendered pictures instead of using the rendered features."""
    multimask: bool = False
    """Let the decoder propose three masks and take the best, for points that could mean a whole or its part."""
    encode_padding: bool = True
    """Fill the embedding beside the picture by encoding one picture, not with zeros."""
    onnx_path: str = ""
    """Also write the decoder as this ONNX file (needs onnx and onnxscript)."""
    onnx_quantized_path: str = ""
    """Also write it with 8-bit weights (needs onnxruntime too)."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""

    def check(self) -> None:
        """Raise UserError unless there is a prompt that makes sense."""
        if not self.point and not self.negative and self.box is None:
            raise UserError(
                "there is no prompt; give --point X Y, --box X1 Y1 X2 Y2, or segment everything: segment.py"
            )
        if len(self.point) % 2 or len(self.negative) % 2:
            raise UserError("--point and --negative need pairs X Y of pixels; complete them")
        if self.box is not None and (self.box[2] <= self.box[0] or self.box[3] <= self.box[1]):
            raise UserError(f"--box is {self.box}; expected X1 < X2 and Y1 < Y2; swap its corners")
        if self.onnx_quantized_path and not self.onnx_path:
            raise UserError("--onnx_quantized_path is made from the file of --onnx_path; give both")

    @property
    def positives(self) -> list[tuple[float, float]]:
        """Points on the object."""
        return [] if self.box is not None else _pairs(self.point)

    @property
    def negatives(self) -> list[tuple[float, float]]:
        """Points beside the object; Feature 3DGS takes a point given with a box for one of them."""
        return _pairs(self.negative) + (_pairs(self.point) if self.box is not None else [])

    @property
    def folder(self) -> Path:
        """Where the results go."""
        points = ["point"] if self.point or self.negative else []
        kind = "_".join((["box"] if self.box is not None else []) + points)
        return Path(self.data) / f"seg_{kind}_{self.iteration}{'_img' if self.image else ''}"

    def prompts(self) -> Prompts:
        """The prompt for SAM's decoder."""
        points = self.positives + self.negatives
        labels = [1] * len(self.positives) + [0] * len(self.negatives)
        boxes = torch.tensor([self.box]) if self.box is not None else None
        return Prompts(torch.tensor([points]), torch.tensor([labels]), boxes) if points else Prompts(boxes=boxes)


def _pairs(numbers: tuple[float, ...]) -> list[tuple[float, float]]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def main() -> None:
    """Read the command line and segment every view."""
    options = tyro.cli(PromptOptions, description=__doc__, use_underscores=True)
    options.check()
    views = rendered_views(Path(options.data), options.iteration, need_features=not options.image)
    segmenter = Segmenter(options.checkpoint, options.model_type, options.device)
    if options.onnx_path:
        write_onnx(segmenter, options)
    with Progress(len(views)) as progress:
        for number, view in enumerate(views, start=1):
            segment_view(segmenter, view, options)
            progress.update(number)
    say(f"{len(views)} views segmented in {options.folder}")


def segment_view(segmenter: Segmenter, view: RenderedView, options: PromptOptions) -> None:
    """Write one view's overlay and mask."""
    image = read_rgb(view.picture)
    require_inside(options, image)
    if options.image:
        embedding = segmenter.embed(image)
    else:
        embedding = segmenter.embed_rendered(read_features(view.features), image, options.encode_padding)
    size = image.shape[1], image.shape[0]
    answer = segmenter.decoder.masks(embedding, options.prompts(), size, options.multimask)
    mask = answer.best()[0].cpu().numpy()
    drawn = overlay(image, [mask], palette(1).numpy())
    folder = options.folder / view.split
    write_png(folder / f"{view.name}.png", mark_prompt(drawn, options.positives, options.negatives, options.box))
    write_png(folder / "masks" / f"{view.name}.png", mask.astype(np.uint8) * 255)


def require_inside(options: PromptOptions, image: np.ndarray) -> None:
    """Raise UserError unless all points and a part of the box lie on the picture."""
    height, width = image.shape[:2]
    for x, y in options.positives + options.negatives:
        if not (0 <= x < width and 0 <= y < height):
            raise UserError(f"point {x:g} {y:g} is not on the pictures of {width}x{height} px; expected one that is")
    if options.box is not None and not (
        options.box[0] < width and options.box[1] < height and min(options.box[2:]) > 0
    ):
        raise UserError(f"--box {options.box} is beside the pictures of {width}x{height} px; expected one on them")


def write_onnx(segmenter: Segmenter, options: PromptOptions) -> None:
    """Write the decoder as ONNX, and a small copy if asked for."""
    export_onnx(segmenter.decoder, Path(options.onnx_path))
    say(f"decoder written to {options.onnx_path}")
    if options.onnx_quantized_path:
        quantize_onnx(Path(options.onnx_path), Path(options.onnx_quantized_path))
        say(f"decoder with 8-bit weights written to {options.onnx_quantized_path}")


if __name__ == "__main__":
    run(main)
