"""From prompts on a picture to masks: SAM's prompt encoder and mask decoder behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoders.sam_net import prompt_encoder as labels_of
from encoders.sam_net.frame import SIDE_PX, Frame, require_embedding
from encoders.sam_net.mask_decoder import MaskDecoder
from encoders.sam_net.prompt_encoder import PromptEncoder
from encoders.sam_net.weight_files import read_sam
from encoders.weights import load_strictly
from utils.errors import UserError
from utils.progress import warn

LOGITS_PX = 256  # side of the decoder's own logits
MASKS_AT_ONCE = 16  # full-size logits in memory at a time


@dataclass(frozen=True)
class Prompts:
    """B prompts on one picture, each for one object; coordinates are pixels (x = column, y = row) of that picture.

    Points, boxes and coarse masks may be combined; negative points inside a box are legal.

    Raises:
        UserError: shapes do not fit together.
    """

    points: Tensor | None = None  # [B, P, 2]
    labels: Tensor | None = None  # [B, P]: 1 = object, 0 = not the object, -1 = no point (filling)
    boxes: Tensor | None = None  # [B, 4]: x1, y1, x2, y2
    masks: Tensor | None = None  # [B, 1, 256, 256] logits in the padded square, as from `SamDecoder.logits`

    def __post_init__(self) -> None:
        count = len(self)
        expected = {"points": (count, -1, 2), "labels": (count, -1), "boxes": (count, 4)}
        expected["masks"] = (count, 1, LOGITS_PX, LOGITS_PX)
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and not _fits(value, shape):
                raise UserError(
                    f"{name} of a prompt have shape {tuple(value.shape)}; expected {shape}; check the prompt"
                )
        points, labels = self.points, self.labels
        if (points is None) != (labels is None) or (points is not None and points.shape[:2] != labels.shape):
            raise UserError("a prompt's points and labels do not pair up; expected one label a point; check the prompt")

    def __len__(self) -> int:
        """B; a prompt without anything is one prompt."""
        given = (value for value in (self.points, self.boxes, self.masks) if value is not None)
        return max((len(value) for value in given), default=1)

    def to(self, device: torch.device) -> Prompts:
        """The same prompts on another device."""
        given = (self.points, self.labels, self.boxes, self.masks)
        return Prompts(*(value if value is None else value.to(device) for value in given))


@dataclass(frozen=True)
class Masks:
    """Answers to B prompts, M masks each."""

    logits: Tensor  # [B, M, H, W] at the picture's size; above 0 = object
    ious: Tensor  # [B, M] how good the decoder thinks each mask is
    coarse: Tensor  # [B, M, 256, 256] logits in the padded square; can be given back as a mask prompt

    def best(self) -> Tensor:
        """The mask [B, H, W] bool with the highest expected IoU for each prompt."""
        chosen = self.ious.argmax(1)
        return self.logits[torch.arange(len(chosen), device=chosen.device), chosen] > 0


class SamDecoder(nn.Module):
    """SAM without its image encoder: 4 M parameters, milliseconds on a GPU, some 0.1 s on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt_encoder = PromptEncoder()
        self.mask_decoder = MaskDecoder()

    @classmethod
    def load(cls, path: Path) -> SamDecoder:
        """The decoder in a `sam_vit_*.pth` file, ready to answer."""
        decoder = cls()
        load_strictly(decoder, read_sam(path).decoder, path)
        return decoder.eval().requires_grad_(False)

    @classmethod
    def random(cls, seed: int = 0) -> SamDecoder:
        """A decoder with random weights: runs like the real one, answers nonsense."""
        warn("SAM's decoder has random weights: its masks mean nothing; give a sam_vit_*.pth file")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls().eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.prompt_encoder.no_mask_embed.weight.device

    def forward(
        self, embedding: Tensor, places: Tensor, labels: Tensor, mask_logits: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits [B, 4, 256, 256] and IoUs [B, 4]; the first mask is for clear prompts, the others for unclear ones.

        Args:
            embedding: [256, 64, 64], padding included.
            places: [B, P, 2] in the padded square, 0..1.
            labels: [B, P]; 1 and 0 points for and against, 2 and 3 corners of a box, -1 filling.
            mask_logits: [B, 1, 256, 256] or None.
        """
        image = embedding.to(self.prompt_encoder.no_mask_embed.weight.dtype) + self.prompt_encoder.masks(mask_logits)
        tokens = self.prompt_encoder.points(places, labels)
        image = image.expand(len(tokens), -1, -1, -1)
        return self.mask_decoder(image, self.prompt_encoder.cell_positions(), tokens)

    def logits(
        self, embedding: Tensor, prompts: Prompts, size: tuple[int, int], multimask: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Coarse logits [B, M, 256, 256] in the padded square and IoUs [B, M]; M is 3 with `multimask`, else 1."""
        require_embedding(embedding)
        prompts = prompts.to(self.device)
        places, labels = placed_points(prompts, Frame(*size))
        logits, ious = self(embedding.to(self.device), places, labels, prompts.masks)
        kept = slice(1, None) if multimask else slice(0, 1)
        return logits[:, kept].float(), ious[:, kept].float()

    @torch.inference_mode()
    def masks(self, embedding: Tensor, prompts: Prompts, size: tuple[int, int], multimask: bool = False) -> Masks:
        """Masks of a picture of (width, height) `size` px.

        Args:
            embedding: [256, 64, 64], padding included; from `embed` or `rendered_embedding`.
            prompts: in pixels of the picture.
            size: (width, height) of the picture, px.
            multimask: three masks a prompt (whole, part, subpart; take `best`) instead of one. Better for one point.
        """
        coarse, ious = self.logits(embedding, prompts, size, multimask)
        parts = [full_size(part, size) for part in coarse.flatten(0, 1).split(MASKS_AT_ONCE)]
        return Masks(torch.cat(parts).unflatten(0, coarse.shape[:2]), ious, coarse)


def placed_points(prompts: Prompts, frame: Frame) -> tuple[Tensor, Tensor]:
    """Places [B, P, 2] in the padded square and labels [B, P]: points first, then the corners of a box.

    Prompts with points but no box end with a filling point, as in training.
    """
    count = len(prompts)
    device = next((v.device for v in (prompts.points, prompts.boxes, prompts.masks) if v is not None), None)
    places, labels = [torch.zeros(count, 0, 2, device=device)], [torch.zeros(count, 0, device=device)]
    if prompts.points is not None:
        places.append(frame.normalised(prompts.points))
        labels.append(prompts.labels)
    if prompts.boxes is not None:
        places.append(frame.normalised(prompts.boxes.unflatten(1, (2, 2))))
        corners = torch.tensor([labels_of.TOP_LEFT, labels_of.BOTTOM_RIGHT], device=device)
        labels.append(corners.expand(count, 2))
    elif prompts.points is not None:
        places.append(torch.zeros(count, 1, 2, device=device))
        labels.append(torch.full((count, 1), labels_of.PADDING, device=device))
    return torch.cat(places, dim=1), torch.cat([part.long() for part in labels], dim=1)


def full_size(coarse: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits [M, H, W] of a picture of (width, height) `size` from logits [M, 256, 256] of the padded square."""
    width, height = Frame(*size).shown
    square = F.interpolate(coarse[None], (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False)
    shown = square[..., :height, :width]
    return F.interpolate(shown, (size[1], size[0]), mode="bilinear", align_corners=False)[0]


def _fits(value: Tensor, shape: tuple[int, ...]) -> bool:
    return value.ndim == len(shape) and all(want in (-1, have) for have, want in zip(value.shape, shape, strict=True))
