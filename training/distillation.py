"""Distilling a teacher's maps into the Gaussians: when, for which views, and the way of a loss from view to teacher.

What a map is, is said by `training.features` and `training.labels`; `training.lifting` is the way without gradients.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import ndraster
import torch
from ndraster import CellGrid
from ndraster.types import without_color
from torch import Tensor

from arguments import SemanticParams
from gaussian_renderer import RenderSettings
from gaussian_renderer.feature_decoder import LinearDecoder
from scene.cameras import Camera
from scene.formats.ply import FEATURE_PREFIX
from scene.gaussian_model import GaussianModel
from training.resident_maps import ResidentMaps
from utils.errors import UserError

SGD_SHARE = 0.5  # of the iterations come after the lift of lift+sgd (measured: docs/distillation.md)


@dataclass(frozen=True)
class DistillPlan:
    """When features are lifted and when they are trained; iterations are 1-based.

    What is lifted replaces all that was learnt before. A lift after the last iteration is one at the last save.
    """

    mode: str  # sgd, lift or lift+sgd
    start: int  # first iteration with a feature loss, if there is any
    lift_at: int  # after this iteration lift+sgd lifts; 0 = before the first
    stop: int = 0  # last iteration with a feature loss; 0 = the last of all

    @classmethod
    def from_options(cls, semantic: SemanticParams, iterations: int) -> DistillPlan:
        """The plan that the command line asks for, in a run of so many iterations."""
        lift_at = semantic.lift_iteration or iterations - int(SGD_SHARE * iterations)
        return cls(semantic.distill, semantic.semantic_start, lift_at, semantic.semantic_stop)

    @classmethod
    def at_once(cls, semantic: SemanticParams) -> DistillPlan:
        """The plan for Gaussians that are finished: there is nothing to wait for."""
        return cls(semantic.distill, 0, 0)

    def describe(self, iterations: int) -> str:
        """When what happens, in words, in a run of so many iterations."""
        if self.mode == "lift":
            return "features are lifted whenever they are saved"
        first = max(self.start, self.lift_at + 1 if self.mode == "lift+sgd" else 1)
        lifted = f"lifted after step {self.lift_at}, " if self.mode == "lift+sgd" else ""
        return f"features are {lifted}trained from step {first} to {min(self.stop or iterations, iterations)}"

    def trains_at(self, iteration: int) -> bool:
        """Whether this iteration has a feature loss."""
        after_lift = self.mode == "sgd" or (self.mode == "lift+sgd" and iteration > self.lift_at)
        return after_lift and iteration >= self.start and (not self.stop or iteration <= self.stop)

    def lifts_at(self, iteration: int, is_saved: bool) -> bool:
        """Whether features are lifted after this iteration: when it is time, and for what is saved (or measured)
        without training.
        """
        if self.mode == "lift":
            return is_saved
        return self.mode == "lift+sgd" and (iteration == self.lift_at or (is_saved and iteration < self.lift_at))


class MapSource(Protocol):
    """Where maps come from."""

    def has(self, image_name: str) -> bool:
        """Whether there is a map for an image."""

    def get(self, image_name: str) -> Tensor:
        """The map of an image, on the CPU."""


class Distiller(ABC):
    """What a teacher asks of the Gaussians: its maps, and how far what a view shows is from them.

    The Gaussians' rows [N, width] are blended into a view, read where the cells of the teacher's map lie, and compared
    there.
    """

    decoder: LinearDecoder | None = None
    """From the rows to the teacher's channels, where those are more."""
    column_prefix = FEATURE_PREFIX
    """Of the rows' columns in PLY files."""
    is_measured = False
    """Whether `quality` has something to say."""

    def __init__(
        self, source: MapSource, width: int, options: SemanticParams, plan: DistillPlan, device: torch.device
    ) -> None:
        self.width, self.plan = width, plan
        self._source, self._options = source, options
        self._maps = ResidentMaps(self._read, device, options.teacher_cache)
        self._known: dict[str, bool] = {}

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """Of the rows."""

    @abstractmethod
    def teacher(self, camera: Camera) -> Tensor:
        """The map [C, h, w] of a view that a lift averages."""

    @abstractmethod
    def distance(self, student: Tensor, camera: Camera) -> Tensor:
        """Scalar distance of a view's blended rows [width, h, w], on the teacher's grid, from the teacher."""

    @abstractmethod
    def write_description(self, model_path: Path) -> None:
        """Write into the model folder what the rows mean."""

    @abstractmethod
    def _read(self, camera: Camera) -> Tensor:
        """A view's map [..., h, w] from the source, checked, in the form in which it is kept."""

    def splatted(self, rows: Tensor) -> Tensor:
        """What is blended for the loss, from the Gaussians' rows [N, width]."""
        return rows

    def from_lift(self, means: Tensor) -> Tensor:
        """The rows that say what a lift found, from its means [N, C]."""
        return means

    def quality(self, model: GaussianModel, cameras: Sequence[Camera], settings: RenderSettings) -> dict[str, float]:
        """Figures of how well views agree with the teacher; none by default."""
        del model, cameras, settings
        return {}

    def check_coverage(self, cameras: Sequence[Camera]) -> int:
        """Number of training views without a teacher map; an error if none has one."""
        missing = sum(not self.has_map(camera) for camera in cameras)
        if missing == len(cameras):
            raise UserError(
                f"the teacher has no map for any of the {missing} training images (first: {cameras[0].image_name}); "
                "expected one per image, named after the image file: encode the images again"
            )
        return missing

    def has_map(self, camera: Camera) -> bool:
        """Whether the teacher has a map of this view (the source is asked once)."""
        if camera.image_name not in self._known:
            self._known[camera.image_name] = self._source.has(camera.image_name)
        return self._known[camera.image_name]

    def map_size(self, camera: Camera) -> tuple[int, int]:
        """(h, w) of a view's map."""
        height, width = self._maps.get(camera).shape[-2:]
        return height, width

    def grid(self, camera: Camera) -> CellGrid:
        """Where the cells of a view's map lie on its image, at the camera's size; by default edge to edge."""
        return CellGrid.edge_to_edge(self.map_size(camera), camera.pinhole)

    def is_active(self, camera: Camera, iteration: int) -> bool:
        """Whether there is a feature loss for this view at this iteration."""
        return self.plan.trains_at(iteration) and self.has_map(camera)

    def samples(self, model: GaussianModel, backend: str) -> bool:
        """Whether `loss_alone` is the quick way: the rasterizer then needs no feature image of the view.

        Not when features move the geometry: densification reads their gradient on the screen, which only the view has.
        """
        name = ndraster.choose_backend(backend, model.means)
        only_features = self._options.feature_res == "image" and not self._options.semantic_geometry_grad
        return only_features and ndraster.can_sample(name)

    def feature_size(self, camera: Camera) -> tuple[int, int] | None:
        """(h, w) at which the student is rendered; None = the image's size."""
        return self.map_size(camera) if self._options.feature_res == "teacher" else None

    def loss(self, student: Tensor, camera: Camera) -> Tensor:
        """Scalar distance of a rendered map [width, h', w'] of any size from the view's teacher."""
        size, (height, width) = self.map_size(camera), student.shape[-2:]
        grid = self.grid(camera.resized(width, height))
        if not _is_identity(grid) or (height, width) != size:
            student = ndraster.read_bilinear(student, grid, size)
        return self.distance(student, camera)

    def loss_alone(self, model: GaussianModel, camera: Camera, settings: RenderSettings) -> Tensor:
        """The same distance without a colour image; its gradient reaches the rows and the decoder only."""
        with torch.no_grad():
            still = without_color(model.at(camera.time))
        gaussians = replace(still, features=self.splatted(model.layers.behind_rows(model.features)))
        size = self.feature_size(camera)
        alone = replace(settings, feature_size=size, semantic_geometry_grad=False)
        raster = alone.raster_settings(model.drawn_sh_degree)
        if size is not None:
            output = ndraster.rasterize(gaussians, camera.pinhole, None, raster, backend=settings.backend)
            return self.loss(output.features, camera)
        view = (camera.pinhole, self.map_size(camera), raster, settings.backend, self.grid(camera))
        return self.distance(ndraster.sample_features(gaussians, *view), camera)

    def exported_decoder(self) -> LinearDecoder | None:
        """The decoder that is saved with the Gaussians."""
        return self.decoder

    def set_decoder(self, weight: Tensor, bias: Tensor) -> None:
        """Start the decoder anew from weight [C, D] and bias [C], if there is one."""
        del weight, bias

    def step(self) -> None:
        """One optimizer step of what is trained besides the rows: by default of nothing."""
        return None

    def state_dict(self) -> dict[str, object]:
        """What is trained besides the rows, for checkpoints; empty without it."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Take over what `state_dict` gave."""
        if bool(state) != bool(self.state_dict()):
            raise UserError(
                f"the checkpoint was made {'with' if state else 'without'} a feature decoder, this run is not; "
                "expected the same teacher, --semantic_dimension and --speedup"
            )


def _is_identity(grid: CellGrid) -> bool:
    """Whether cells lie on pixels, one on each; the margin is that of rounding."""
    return max(abs(grid.start_x), abs(grid.start_y), abs(grid.step_x - 1), abs(grid.step_y - 1)) < 1e-6


def image_sizes(distiller: Distiller, cameras: Sequence[Camera]) -> dict[str, tuple[int, int]]:
    """Size (width, height) px of the teacher's map for every view (`-r 0`), by image name.

    One map is read per size of photo: equal photos have equal maps.
    """
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for camera in cameras:
        photo = (camera.width, camera.height)
        if photo not in found and distiller.has_map(camera):
            found[photo] = distiller.map_size(camera)[::-1]
    lost = [camera for camera in cameras if (camera.width, camera.height) not in found]
    if lost:
        raise UserError(
            f"-r 0: no image of {lost[0].width}x{lost[0].height} px has a teacher map ({lost[0].image_name}); "
            "expected at least one per image size; encode the images again, or give another -r"
        )
    return {camera.image_name: found[(camera.width, camera.height)] for camera in cameras}
