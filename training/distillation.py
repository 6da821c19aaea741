"""Distilling a teacher's feature maps into the Gaussians: when, and by gradient descent (Zhou et al. 2024).

`training.lifting` is the way without gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import ndraster
import torch
import torch.nn.functional as F
from ndraster import Gaussians
from torch import Tensor

from arguments import SemanticParams
from encoders import FeatureMaps
from gaussian_renderer import RenderSettings
from gaussian_renderer.feature_decoder import LinearDecoder
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from utils.errors import UserError

DECODER_LR = 1e-4
SGD_SHARE = 0.5  # of the iterations come after the lift of lift+sgd (measured: docs/distillation.md)
RESIDENT_SHARE = 0.25  # of the free GPU memory, for teacher maps that stay there
RESIDENT_BYTES_CPU = 1 << 30


@dataclass(frozen=True)
class DistillPlan:
    """When features are lifted and when they are trained; iterations are 1-based.

    What is lifted replaces all that was learnt before. A lift after the last iteration is one at the last save.
    """

    mode: str  # sgd, lift or lift+sgd
    start: int  # first iteration with a feature loss, if there is any
    lift_at: int  # after this iteration lift+sgd lifts

    @classmethod
    def from_options(cls, semantic: SemanticParams, iterations: int) -> DistillPlan:
        """The plan that the command line asks for, in a run of so many iterations."""
        lift_at = semantic.lift_iteration or iterations - int(SGD_SHARE * iterations)
        return cls(semantic.distill, semantic.semantic_start, lift_at)

    def trains_at(self, iteration: int) -> bool:
        """Whether this iteration has a feature loss."""
        after_lift = self.mode == "sgd" or (self.mode == "lift+sgd" and iteration > self.lift_at)
        return after_lift and iteration >= self.start

    def lifts_at(self, iteration: int, is_saved: bool) -> bool:
        """Whether features are lifted after this iteration: when it is time, and for what is saved without training."""
        if self.mode == "lift":
            return is_saved
        return self.mode == "lift+sgd" and (iteration == self.lift_at or (is_saved and iteration < self.lift_at))


def latent_width(teacher_dim: int, options: SemanticParams) -> int:
    """Width D of the splatted features: as asked, C / ratio with --speedup, else the teacher's own C."""
    width = options.semantic_dimension
    if width == 0:
        width = max(1, teacher_dim // options.speedup_ratio) if options.speedup else teacher_dim
    if not 1 <= width <= teacher_dim:
        raise UserError(
            f"--semantic_dimension is {width} but the teacher has {teacher_dim} channels; "
            f"expected 1 to {teacher_dim}, or 0 for all of them"
        )
    return width


class Distiller:
    """Feature loss of one view: student map -> teacher's grid -> (decoder) -> distance to the teacher's map.

    The decoder is there when the splatted width D is smaller than the teacher's C. It acts after resizing, which is
    the same as before it (both are linear) and costs less.
    """

    def __init__(self, maps: FeatureMaps, options: SemanticParams, plan: DistillPlan, device: torch.device):
        self._maps = _ResidentMaps(maps, device)
        self._options = options
        self.plan = plan
        self.width = latent_width(maps.dim, options)
        self.decoder: LinearDecoder | None = None
        self.decoder_optimizer: torch.optim.Adam | None = None
        if self.width != maps.dim:
            self.decoder = LinearDecoder(self.width, maps.dim).to(device)
            self.restart_decoder_optimizer()

    def check_coverage(self, cameras: tuple[Camera, ...]) -> int:
        """Number of training views without a teacher map; an error if none has one."""
        missing = sum(not self._maps.has(camera.image_name) for camera in cameras)
        if missing == len(cameras):
            raise UserError(
                f"the teacher has no map for any of the {missing} training images (first: {cameras[0].image_name}); "
                "expected one per image, named after the image file: encode the images again"
            )
        return missing

    def has_map(self, camera: Camera) -> bool:
        """Whether the teacher has a map of this view."""
        return self._maps.has(camera.image_name)

    def teacher(self, camera: Camera) -> Tensor:
        """The teacher's map [C, h, w] of a view, half precision."""
        return self._maps.get(camera.image_name)

    def is_active(self, camera: Camera, iteration: int) -> bool:
        """Whether there is a feature loss for this view at this iteration."""
        return self.plan.trains_at(iteration) and self.has_map(camera)

    def samples(self, model: GaussianModel, backend: str) -> bool:
        """Whether `sampled_loss` is the quick way: the rasterizer then needs no feature image of the view.

        Not when features move the geometry: densification reads their gradient on the screen, which only the view has.
        """
        name = ndraster.choose_backend(backend, model.means)
        only_features = self._options.feature_res == "image" and not self._options.semantic_geometry_grad
        return only_features and ndraster.can_sample(name)

    def feature_size(self, camera: Camera) -> tuple[int, int] | None:
        """(h, w) at which the student is rendered; None = the image's size."""
        if self._options.feature_res != "teacher":
            return None
        return self._maps.size(camera.image_name)

    def loss(self, student: Tensor, camera: Camera) -> Tensor:
        """Scalar distance between the rendered map [D, h', w'] and the view's teacher map [C, h, w]."""
        teacher = self.teacher(camera).float()
        size = teacher.shape[-2:]
        if student.shape[-2:] != size:
            student = F.interpolate(student[None], size=size, mode="bilinear", align_corners=True)[0]
        decoded = student if self.decoder is None else self.decoder(student)
        return ndraster.feature_distance(decoded, teacher, self._options.semantic_loss)

    def sampled_loss(self, model: GaussianModel, camera: Camera, settings: RenderSettings) -> Tensor:
        """The same distance without a rendered map; its gradient reaches features and decoder only."""
        with torch.no_grad():
            gaussians: Gaussians = model.at(camera.time)
        return ndraster.distill_loss(
            replace(gaussians, features=model.features),
            camera.pinhole,
            self.teacher(camera),
            loss=self._options.semantic_loss,
            decoder=None if self.decoder is None else (self.decoder.linear.weight, self.decoder.linear.bias),
            settings=replace(settings, feature_size=None).raster_settings(model.active_sh_degree),
            backend=settings.backend,
        )

    @torch.no_grad()
    def set_decoder(self, weight: Tensor, bias: Tensor) -> None:
        """Start the decoder anew from weight [C, D] and bias [C]."""
        if self.decoder is not None:
            self.decoder.linear.weight.copy_(weight)
            self.decoder.linear.bias.copy_(bias)
            self.restart_decoder_optimizer()

    def restart_decoder_optimizer(self) -> None:
        """Forget what the decoder's optimizer has seen."""
        if self.decoder is not None:
            self.decoder_optimizer = torch.optim.Adam(self.decoder.parameters(), lr=DECODER_LR)

    def step(self) -> None:
        """One optimizer step of the decoder, if there is one and it was used."""
        if self.decoder_optimizer is not None:
            self.decoder_optimizer.step()
            self.decoder_optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, object]:
        """Decoder and its optimizer; empty without a decoder."""
        if self.decoder is None or self.decoder_optimizer is None:
            return {}
        return {"decoder": self.decoder.state_dict(), "optimizer": self.decoder_optimizer.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Take over what `state_dict` gave."""
        if bool(state) != (self.decoder is not None):
            raise UserError(
                f"the checkpoint was made {'with' if state else 'without'} a feature decoder, this run is not; "
                "expected the same --semantic_dimension and --speedup"
            )
        if self.decoder is not None and self.decoder_optimizer is not None:
            self.decoder.load_state_dict(state["decoder"])
            self.decoder_optimizer.load_state_dict(state["optimizer"])


class _ResidentMaps:
    """Teacher maps in half precision, kept on the training device as far as they fit, else read every time."""

    def __init__(self, maps: FeatureMaps, device: torch.device):
        self._source, self._device = maps, device
        self._kept: dict[str, Tensor] = {}
        self._room = RESIDENT_BYTES_CPU
        if device.type == "cuda":
            self._room = int(RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0])
        self._latest: tuple[str, Tensor] | None = None  # not kept, but asked for twice in one iteration
        self._known: dict[str, bool] = {}

    def has(self, image_name: str) -> bool:
        """Whether there is a map for this image (asked of the source once)."""
        if image_name not in self._known:
            self._known[image_name] = self._source.has(image_name)
        return self._known[image_name]

    def size(self, image_name: str) -> tuple[int, int]:
        """(h, w) of one map."""
        height, width = self.get(image_name).shape[-2:]
        return height, width

    def get(self, image_name: str) -> Tensor:
        """[C, h, w] on the device, half precision."""
        if image_name in self._kept:
            return self._kept[image_name]
        if self._latest is not None and self._latest[0] == image_name:
            return self._latest[1]
        rows = self._checked(self._source.get(image_name), image_name).half().to(self._device)
        num_bytes = rows.numel() * rows.element_size()
        if num_bytes <= self._room:
            self._kept[image_name] = rows
            self._room -= num_bytes
        else:
            self._latest = (image_name, rows)
        return rows

    def _checked(self, rows: Tensor, image_name: str) -> Tensor:
        if rows.dim() != 3 or rows.shape[0] != self._source.dim or 0 in rows.shape:
            raise UserError(
                f"teacher map of {image_name} has shape {list(rows.shape)}; expected [{self._source.dim}, h, w] "
                "as for the other images: encode the images again"
            )
        limit = torch.finfo(torch.float16).max
        if not bool((rows.abs() <= limit).all()):  # also false for NaN
            raise UserError(
                f"teacher map of {image_name} holds values that are not finite or beyond {limit:.0f}; "
                "expected half-precision numbers: encode the image again"
            )
        return rows
