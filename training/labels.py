"""Class labels instead of features (Label-3DGS): every Gaussian carries one logit per class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ndraster
import torch
import torch.nn.functional as F
from torch import Tensor

from arguments import SemanticParams
from encoders.label_maps import IGNORE, LabelMaps
from gaussian_renderer import RenderSettings
from gaussian_renderer.trained import classes_path
from scene.cameras import Camera
from scene.formats.ply import LABEL_PREFIX
from scene.gaussian_model import GaussianModel
from training.distillation import Distiller, DistillPlan
from utils.files import write_json

LIFT_FLOOR = 0.1  # added to lifted shares before the logarithm: how sure a Gaussian can be
MIN_PROBABILITY = 1e-6  # where nothing is blended, for the logarithm of nll_prob
_IGNORE_BYTE = 255


class LabelDistiller(Distiller):
    """Cross-entropy between blended logits [K, h, w] and a label map [h, w].

    The student is read at the centres of the label map's cells, or of the image's pixels where those are fewer (labels
    are then resized, nearest). Maps are kept as bytes for up to 255 classes.
    """

    column_prefix = LABEL_PREFIX
    is_measured = True

    def __init__(self, maps: LabelMaps, options: SemanticParams, plan: DistillPlan, device: torch.device):
        super().__init__(maps, len(maps.classes), options, plan, device)
        self._classes = maps.classes
        self._ignore = _IGNORE_BYTE if self.width <= _IGNORE_BYTE else IGNORE

    @property
    def learning_rate(self) -> float:
        return self._options.label_lr

    def labels(self, camera: Camera) -> Tensor:
        """A view's classes [h, w] on the device, -1 = ignore."""
        stored = self._maps.get(camera).long()
        return torch.where(stored == self._ignore, IGNORE, stored)

    def teacher(self, camera: Camera) -> Tensor:
        """One-hot [K, h, w], half precision; zeros where there is no label."""
        classes = torch.arange(self.width, device=self._maps.get(camera).device)
        return (self._maps.get(camera)[None] == classes[:, None, None]).half()

    def distance(self, student: Tensor, camera: Camera) -> Tensor:
        return label_loss(student, self.labels(camera), self._options.label_loss)

    def write_description(self, model_path: Path) -> None:
        write_json(classes_path(model_path), list(self._classes))

    def splatted(self, rows: Tensor) -> Tensor:
        return rows.softmax(1) if self._options.label_loss == "nll_prob" else rows

    def from_lift(self, means: Tensor) -> Tensor:
        return logits_of_shares(means)

    @torch.no_grad()
    def quality(self, model: GaussianModel, cameras: Sequence[Camera], settings: RenderSettings) -> dict[str, float]:
        """`label_accuracy`: share of the labelled pixels of all views whose largest blended logit is right."""
        right = total = 0
        for camera in filter(self.has_map, cameras):
            labels = self.labels(camera)
            raster = settings.raster_settings(model.drawn_sh_degree)
            view = (camera.pinhole, self.map_size(camera), raster, settings.backend, self.grid(camera))
            found = ndraster.sample_features(model.at(camera.time), *view).argmax(0)
            right += int((found == labels).sum())
            total += int((labels != IGNORE).sum())
        return {"label_accuracy": right / total} if total else {}

    def _read(self, camera: Camera) -> Tensor:
        labels = self._source.get(camera.image_name)
        if labels.numel() > camera.width * camera.height:
            grid = labels[None, None].float()  # exact for ids below 2^24
            labels = F.interpolate(grid, (camera.height, camera.width), mode="nearest-exact")[0, 0]
        labels = torch.where(labels < 0, self._ignore, labels)
        return labels.to(torch.uint8 if self._ignore == _IGNORE_BYTE else torch.int16)


def label_loss(scores: Tensor, labels: Tensor, kind: str = "ce") -> Tensor:
    """Mean cross-entropy over the labelled pixels; 0 if there are none.

    Args:
        scores: [K, h, w] blended logits; for `nll_prob` blended probabilities, which sum to at most 1.
        labels: [h, w] long, -1 = ignore.
        kind: `ce`; `ce_compat`: of the softmax of the logits, as Label-3DGS has it, whose gradients are bounded and
            whose classes stay below a probability of e / (e + K - 1); `nll_prob`: -log of the blended probability.
    """
    if kind == "nll_prob":
        total = F.nll_loss((scores + MIN_PROBABILITY).log()[None], labels[None], ignore_index=IGNORE, reduction="sum")
    else:
        logits = scores.softmax(0) if kind == "ce_compat" else scores
        total = F.cross_entropy(logits[None], labels[None], ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp_min(1)


def logits_of_shares(means: Tensor) -> Tensor:
    """Logits [N, K] with mean 0 and a softmax in proportion to share + LIFT_FLOOR, from means [N, K] of one-hot maps.

    Pixels without label count neither for nor against a class; what was never seen with a label stays undecided (0).
    """
    total = means.sum(1, keepdim=True)
    logits = (means / total.clamp_min(torch.finfo(means.dtype).tiny) + LIFT_FLOOR).log()
    return torch.where(total > 0, logits - logits.mean(1, keepdim=True), 0.0)
