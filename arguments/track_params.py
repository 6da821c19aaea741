"""Options of track.py, and which of them go together. Each field is a flag of the same name; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import UseAppendAction

from arguments.config_file import OptionError

Pixels = UseAppendAction[tuple[tuple[int, int], ...]]
Places = UseAppendAction[tuple[tuple[float, float, float], ...]]


@dataclass(frozen=True)
class TrackParams:
    """Which points are followed, and what is written of them."""

    point: Pixels = ()
    """Pixel X Y (column, row) in the view of --view, at its time."""
    view: str = "0"
    """View of --point and --grid: image name of a training view, or its number, sorted by name."""
    point3d: Places = ()
    """Point X Y Z in world units, at the moment --time."""
    time: float = 0.0
    """Moment in 0..1 of --point3d."""
    queries: str = ""
    """File of points, .csv, .json or .npz: see docs/track.md."""
    grid: int = 0
    """Follow a grid of points on what moves, so many across the picture of --view."""
    evaluate: str = ""
    """Follow the true points of this file and measure: tracks_gt.npz, 3dgt.json or 2dgt.json."""
    gt_first_frame: int = 2
    """JSON files of --evaluate: number of the moment that their first sample shows."""
    gt_sequence: str = ""
    """JSON files of --evaluate: the sequence; not needed when there is one only."""
    metres_per_unit: float = 1.0
    """Length of a world unit, for errors in cm."""
    carriers: int = 8
    """Gaussians that carry a point together; 1 = the most influential one alone, as published."""
    compat_static: bool = False
    """Let points stand still where no Gaussian's influence reaches 0.5, as published."""
    views: tuple[str, ...] = ()
    """Training views (names or numbers) from which the points are filmed; left out = from that of the first point."""
    all_views: bool = False
    """Film the points from every camera of the rig."""
    name: str = "points"
    """Results go to tracks/NAME in the model folder."""
    iteration: int = -1
    """Saved step to load; -1 = the newest."""
    skip_video: bool = False
    """Do not write videos."""
    fps: int = 30
    """Frames per second of the videos and of tracks.usda."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


def check_track_options(options: TrackParams) -> None:
    """Refuse a run without points, several kinds of truth, numbers out of range, and a name that leaves the folder."""
    is_asked = bool(options.point or options.point3d or options.queries or options.grid)
    if options.evaluate and is_asked:
        raise OptionError("--evaluate follows the true points; expected no other points with it; leave one out")
    if not options.evaluate and not is_asked:
        raise OptionError("no point given; expected --point X Y, --point3d X Y Z, --queries FILE or --grid N; add one")
    if options.views and options.all_views:
        raise OptionError("--views and --all_views are two ways to choose cameras; expected one; leave one out")
    for name, least in {"grid": 0, "gt_first_frame": 0, "carriers": 1, "fps": 1}.items():
        if getattr(options, name) < least:
            raise OptionError(f"--{name} is {getattr(options, name)}; expected at least {least}; change it")
    if not 0 <= options.time <= 1:
        raise OptionError(f"--time is {options.time}; expected a moment from 0 to 1; change it")
    if not options.metres_per_unit > 0:
        raise OptionError(f"--metres_per_unit is {options.metres_per_unit}; expected more than 0; change it")
    if options.name in ("", "..") or Path(options.name).name != options.name:
        raise OptionError(f"--name is {options.name!r}; expected a plain folder name, e.g. hand")
