"""The prompt decoder as an ONNX file, for programs without torch: embedding, points and labels in, masks out."""

from __future__ import annotations

import warnings
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from encoders.sam_net.decoder import SamDecoder
from encoders.sam_net.frame import GRID, SIDE_PX
from utils.errors import UserError
from utils.files import atomic_path

INPUTS = ("image_embeddings", "point_coords", "point_labels")
OUTPUTS = ("low_res_masks", "iou_predictions")


class _ExportedDecoder(nn.Module):
    """The decoder with coordinates in pixels of the padded square of 1024 px, as web programs expect them."""

    def __init__(self, decoder: SamDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, embedding: Tensor, coords: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits, ious = self.decoder(embedding[0], (coords + 0.5) / SIDE_PX, labels)
        return logits[:, :1], ious[:, :1]


def export_onnx(decoder: SamDecoder, path: Path) -> None:
    """Write the decoder's single-mask answer to one prompt.

    Inputs: image_embeddings [1, 256, 64, 64], point_coords [1, P, 2] in pixels of the padded square, point_labels
    [1, P] (1, 0, 2 and 3 for the corners of a box, -1 for filling: end prompts without a box by one). Outputs:
    low_res_masks [1, 1, 256, 256], iou_predictions [1, 1].

    Raises:
        UserError: onnx is missing.
    """
    for package in ("onnx", "onnxscript"):
        _require(package)
    example = torch.zeros(1, 256, GRID, GRID), torch.full((1, 3, 2), 100.0), torch.ones(1, 3)
    points = torch.export.Dim("points", min=1, max=1024)
    module = _ExportedDecoder(deepcopy(decoder).cpu()).eval()
    with atomic_path(path) as temp, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter itself
        program = torch.onnx.export(
            module,
            example,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=({}, {1: points}, {1: points}),
            dynamo=True,
            verbose=False,
        )
        program.save(temp)


def quantize_onnx(path: Path, target: Path) -> None:
    """Write an ONNX file with 8-bit weights; UserError when onnxruntime is missing."""
    _require("onnxruntime")
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    del model.graph.value_info[:]  # the exporter's notes on shapes, with which the quantizer's own would clash
    with atomic_path(target) as temp:
        quantize_dynamic(model, temp, weight_type=QuantType.QUInt8)


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise UserError(f"writing ONNX needs {package}, which is missing; run: pip install {package}")
