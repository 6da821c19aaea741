"""Options of convert.py. Each field is a flag of the same name; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg


@dataclass(frozen=True)
class ConvertParams:
    """What is made into a data set, and how."""

    source_path: Annotated[str, arg(aliases=["-s"])] = ""
    """rig: folder with one video (mp4, mov, mkv, avi) or of pictures for each camera; import_d3dg: a params.npz."""
    output: Annotated[str, arg(aliases=["-o"])] = ""
    """Folder of the data set (rig) or of the model (import_d3dg), or file (export_d3dg) to write."""
    mode: Literal["rig", "import_d3dg", "export_d3dg", "splats", "cameras", ""] = ""
    """rig: recordings become a data set; import_d3dg, export_d3dg: clips; splats, cameras: see docs/exchange.md."""
    model_path: Annotated[str, arg(aliases=["-m"])] = ""
    """export_d3dg: the model folder."""
    iteration: int = -1
    """export_d3dg: the saved step; -1 = the newest."""
    data: str = ""
    """import_d3dg: folder of the data set that the clip was trained on, whose cameras the other scripts use."""
    panoptic: str = ""
    """Instead of -s: a download of CMU Panoptic Studio (calibration_*.json and hdImgs/), its HD cameras."""
    fps: float = 30.0
    """Frames per second of folders of pictures; videos know theirs."""
    sync: Literal["auto", "none", "audio", "flash", "motion"] = "auto"
    """How the clocks of the cameras are found: by sound, a flash, or motion; auto = none if all are equally long."""
    offsets: str = ""
    """JSON file {camera: seconds} of when each camera's first frame was taken; no other synchronisation is done."""
    resize: tuple[int, int] | None = None
    """Width and height of the pictures in px; left out = those of the smallest camera."""
    frame_step: int = 1
    """Take every n-th moment."""
    num_frames: int = 0
    """Take so many moments; 0 = all."""
    calibration: str = ""
    """Known cameras: a COLMAP model folder, *_meta.json, transforms.json, poses_bounds.npy or Panoptic's JSON file."""
    lens: Literal["SIMPLE_RADIAL", "OPENCV"] = "SIMPLE_RADIAL"
    """Lens model that is fitted to each camera when the cameras are not known: 1 or 4 coefficients."""
    sfm_moments: int = 3
    """Number of moments whose pictures the cameras are found from."""
    scale: float = 0.0
    """Metres per unit of the world that was found; 0 = not known."""
    baseline: tuple[str, str, float] | None = None
    """Two cameras and the distance between them in metres, which gives the scale."""
    masks: Literal["none", "difference", "folder"] = "difference"
    """What moves: not asked, by difference from the empty stage, or pictures <--mask_folder>/<camera>/*."""
    plates: str = ""
    """Folder with a picture <camera>.png or .jpg of the empty stage; left out = the median of each camera over time."""
    mask_folder: str = ""
    """Folder of given masks, one folder for each camera, frame for frame as in the recording."""
    mask_threshold: float = 12.0
    """Difference of colour (CIE Lab units) from which a pixel moves."""
    num_points: int = 60000
    """At most so many points to start from."""
    test_cams: tuple[str, ...] | None = None
    """Cameras held out (names or numbers); left out = every 8th, without a value none."""
    overwrite: bool = False
    """rig: replace a data set that convert.py wrote before."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
