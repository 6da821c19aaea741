"""Options of the scripts that use a trained model. Each field is a flag of the same name; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import UseAppendAction, arg

Points = UseAppendAction[tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class RenderParams:
    """What is rendered and written."""

    iteration: int = -1
    """Saved step to load; -1 = the newest."""
    skip_train: bool = False
    """Leave the training views out."""
    skip_test: bool = False
    """Leave the test views out."""
    novel_view: bool = False
    """Also render views along new camera paths."""
    path: Literal["slerp", "orbit", "both"] = "both"
    """Camera path of --novel_view: through the training cameras, around the scene, or both."""
    num_views: int = 60
    """Number of views on each new path."""
    multi_interpolate: bool = False
    """Novel views between every two neighbouring training cameras instead."""
    video: bool = False
    """Write an mp4 of each new path; includes --novel_view."""
    fps: int = 30
    """Frames per second of videos."""
    depth: bool = True
    """Write depth pictures."""
    save_features: bool = True
    """Write feature maps as tensors (saved_feature/), besides their pictures."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class SegmentParams:
    """What is selected, and how."""

    point: Points = ()
    """Pixel X Y (column, row) on the object, in the view of --view."""
    negative: Points = ()
    """Pixel X Y on something that is not the object."""
    view: int = 0
    """View in which the points are given: number of the training view, sorted by name."""
    view_name: str = ""
    """Image name of that view, instead of --view."""
    threshold: float | None = None
    """Cosine similarity from which a Gaussian belongs to the object; left out = found automatically."""
    connected: bool = True
    """Keep only what hangs together with the clicked places."""
    name: str = "object"
    """Name of the selection; results go to segment/NAME in the model folder."""
    iteration: int = -1
    """Saved step to load; -1 = the newest."""
    skip_video: bool = False
    """Do not write the overlay video."""
    fps: int = 30
    """Frames per second of the video."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class MetricsParams:
    """Which renders are measured, against what."""

    model_paths: Annotated[tuple[str, ...], arg(aliases=["-m", "--model_path"])]
    """Model folders whose test renders are measured."""
    labels: str = ""
    """Folder of true masks or label maps, to measure the masks of segment.py as well."""
    object: str = ""
    """Name or id of the object in --labels; empty = the one that was clicked."""
    selection: str = ""
    """Name of the selection whose masks are measured; empty = all."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
