"""What all folders of one run of render.py share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arguments import RenderParams
from gaussian_renderer import RenderSettings, sinks
from gaussian_renderer.frames import Sink, render_frames
from gaussian_renderer.outputs import Outputs
from gaussian_renderer.trained import TrainedScene
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel

VIDEO_FPS = 30


@dataclass(frozen=True)
class Job:
    """A trained model, and how it is rendered and shown."""

    trained: TrainedScene
    model: GaussianModel
    """What is rendered: the trained Gaussians, or the edited ones."""
    settings: RenderSettings
    options: RenderParams
    outputs: Outputs
    teacher: sinks.Lookup | None = None
    """The teacher's maps by image name; None = they are not there."""
    edit: str = ""
    """Operation and target of an edit, part of the names of folders."""

    @property
    def fps(self) -> int:
        """Frames per second of videos."""
        return VIDEO_FPS if self.options.fps is None else self.options.fps

    def numbered(self, name: str) -> str:
        """<name>_<iteration>[_<edit>]."""
        return f"{name}_{self.trained.iteration}" + (f"_{self.edit}" if self.edit else "")

    def folder(self, name: str) -> Path:
        """<model>/<name>/ours_<iteration>[_<edit>]."""
        return self.trained.model_path / name / self.numbered("ours")

    def render(self, cameras: Iterable[Camera], chosen: Sequence[Sink]) -> int:
        """Render cameras into sinks; returns their number."""
        trained = self.trained
        look = {"background": trained.background, "settings": self.settings, "exposures": trained.exposures}
        return render_frames(cameras, self.model, chosen, **look)
