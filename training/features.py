"""Features of a teacher (Feature 3DGS, Zhou et al. 2024): a distance per channel, perhaps behind a linear decoder."""

from __future__ import annotations

from pathlib import Path

import ndraster
import torch
from ndraster import CellGrid
from torch import Tensor

from arguments import SemanticParams
from encoders import FeatureMaps
from encoders.record import TeacherRecord
from gaussian_renderer.feature_decoder import LinearDecoder
from scene.cameras import Camera
from training.distillation import Distiller, DistillPlan
from utils.errors import UserError

DECODER_LR = 1e-4


class FeatureDistiller(Distiller):
    """Student map -> teacher's grid -> (decoder) -> distance to the teacher's map [C, h, w], kept in half precision.

    The decoder is there when the splatted width D is smaller than the maps' C. It acts after resizing, which is the
    same as before it (both are linear) and costs less. Maps may come compressed: `maps.basis` [C', C] then leads to
    the teacher's own C' channels. Training never goes there; what is saved does.
    """

    def __init__(self, maps: FeatureMaps, options: SemanticParams, plan: DistillPlan, device: torch.device):
        basis: Tensor | None = getattr(maps, "basis", None)
        own_dim = maps.dim if basis is None else basis.shape[0]
        super().__init__(maps, latent_width(own_dim, options, maps.dim), options, plan, device)
        self._dim, self._basis, self._device = maps.dim, basis, device
        self.record = TeacherRecord(options.foundation_model, own_dim, getattr(maps, "record_options", {}))
        self.decoder_optimizer: torch.optim.Adam | None = None
        if self.width != maps.dim:
            self.decoder = LinearDecoder(self.width, maps.dim).to(device)
            self.restart_decoder_optimizer()

    @property
    def learning_rate(self) -> float:
        return self._options.semantic_feature_lr

    def teacher(self, camera: Camera) -> Tensor:
        return self._maps.get(camera)

    def grid(self, camera: Camera) -> CellGrid:
        placement = self._source.placement(camera.image_name)
        if placement is None:
            return CellGrid.corners(self.map_size(camera), camera.pinhole)
        return CellGrid.of_fractions(*placement, camera.pinhole)

    def distance(self, student: Tensor, camera: Camera) -> Tensor:
        decoded = student if self.decoder is None else _decoded_map(student, self.decoder)
        teacher = self._maps.get(camera).to(decoded.dtype)
        return ndraster.feature_distance(decoded, teacher, self._options.semantic_loss)

    def write_description(self, model_path: Path) -> None:
        self.record.save(model_path)

    def exported_decoder(self) -> LinearDecoder | None:
        if self._basis is None:
            return self.decoder
        basis = self._basis.to(self._device)
        whole = LinearDecoder(self.width, basis.shape[0]).to(self._device)
        linear = None if self.decoder is None else self.decoder.linear
        with torch.no_grad():
            whole.linear.weight.copy_(basis if linear is None else basis @ linear.weight)
            whole.linear.bias.copy_(torch.zeros(len(basis)) if linear is None else basis @ linear.bias)
        return whole

    @torch.no_grad()
    def set_decoder(self, weight: Tensor, bias: Tensor) -> None:
        if self.decoder is not None:
            self.decoder.linear.weight.copy_(weight)
            self.decoder.linear.bias.copy_(bias)
            self.restart_decoder_optimizer()

    def restart_decoder_optimizer(self) -> None:
        """Forget what the decoder's optimizer has seen."""
        if self.decoder is not None:
            self.decoder_optimizer = torch.optim.Adam(self.decoder.parameters(), lr=DECODER_LR)

    def step(self) -> None:
        if self.decoder_optimizer is not None:
            self.decoder_optimizer.step()
            self.decoder_optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, object]:
        if self.decoder is None or self.decoder_optimizer is None:
            return {}
        return {"decoder": self.decoder.state_dict(), "optimizer": self.decoder_optimizer.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        if self.decoder is not None and self.decoder_optimizer is not None:
            self.decoder.load_state_dict(state["decoder"])
            self.decoder_optimizer.load_state_dict(state["optimizer"])

    def _read(self, camera: Camera) -> Tensor:
        return checked_map(self._source.get(camera.image_name), self._dim, camera.image_name).half()


def _decoded_map(student: Tensor, decoder: LinearDecoder) -> Tensor:
    """`decoder(student)` of a map [D, h, w], channels first throughout: no copies of [C, h, w] in another order."""
    pixels = torch.addmm(decoder.linear.bias[:, None], decoder.linear.weight, student.flatten(1))
    return pixels.unflatten(1, student.shape[1:])


def latent_width(teacher_dim: int, options: SemanticParams, map_dim: int | None = None) -> int:
    """Width D of the splatted features: as asked, C / ratio with --speedup, else that of the maps.

    Args:
        teacher_dim: C, the teacher's own channels.
        options: `semantic_dimension`, `speedup`, `speedup_ratio`.
        map_dim: channels of the maps at hand, if they come compressed: the most that there is to learn.
    """
    most = map_dim or teacher_dim
    width = options.semantic_dimension
    if width == 0:
        width = min(most, max(1, teacher_dim // options.speedup_ratio)) if options.speedup else most
    if not 1 <= width <= most:
        raise UserError(
            f"--semantic_dimension is {width} but the teacher has {most} channels; "
            f"expected 1 to {most}, or 0 for all of them"
        )
    return width


def checked_map(rows: Tensor, dim: int, image_name: str) -> Tensor:
    """The map [dim, h, w] itself.

    Raises:
        UserError: it has another shape, or values that half precision cannot hold.
    """
    if rows.dim() != 3 or rows.shape[0] != dim or 0 in rows.shape:
        raise UserError(
            f"teacher map of {image_name} has shape {list(rows.shape)}; expected [{dim}, h, w] "
            "as for the other images: encode the images again"
        )
    limit = torch.finfo(torch.float16).max
    low, high = rows.aminmax()
    if not bool((low >= -limit) & (high <= limit)):  # also false for NaN
        raise UserError(
            f"teacher map of {image_name} holds values that are not finite or beyond {limit:.0f}; "
            "expected half-precision numbers: encode the image again"
        )
    return rows
