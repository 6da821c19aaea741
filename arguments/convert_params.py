"""Options of convert.py. Each field is a flag of the same name; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg


@dataclass(frozen=True)
class ConvertParams:
    """What is made into a data set, and how."""

    source_path: Annotated[str, arg(aliases=["-s"])] = ""
    """photos: folder with input/ or photos, or a video; rig: a video or folder of pictures per camera; or a clip."""
    output: Annotated[str, arg(aliases=["-o"])] = ""
    """Folder of the data set (photos: left out = that of -s) or model (import_d3dg, splats), or file to write."""
    mode: Literal["photos", "rig", "import_d3dg", "export_d3dg", "splats", "cameras"] = "photos"
    """photos (or a video), rig: make data sets; import_d3dg, export_d3dg: clips; splats, cameras: docs/exchange.md."""
    check: str = ""
    """Convert nothing: explain what the readers see in this folder, and draw its cameras and points (into --output)."""
    video: str = ""
    """photos: take sharp frames of this video; they go to input/."""
    camera: str = "OPENCV"
    """photos: COLMAP's camera model of the lens, shared by all photos of one size."""
    times: bool = False
    """photos: the scene moves; also write times.json, by the numbers in the names of the photos or frames."""
    skip_matching: bool = False
    """photos: the cameras are known (distorted/sparse/); only undistort."""
    matcher: Literal["auto", "exhaustive", "sequential"] = "auto"
    """photos: compare all pairs, or neighbours and key frames; auto = all, but sequential for videos and for many."""
    max_num_features: int = 8192
    """photos: points looked for in each photo; fewer is faster."""
    no_gpu: bool = False
    """photos: do not use the GPU for finding and comparing points."""
    colmap_executable: str = ""
    """photos: COLMAP program to use instead of pycolmap; empty = one on the PATH that was built with CUDA."""
    magick_executable: str = ""
    """Accepted for old command lines; not needed, Pillow makes the smaller copies."""
    mask_mode: Literal["occluder", "background", "cameras"] = "occluder"
    """What --mask_folder masks out of photos: ignored in training, transparent, or only not used to find cameras."""
    model_path: Annotated[str, arg(aliases=["-m"])] = ""
    """export_d3dg: the model folder."""
    iteration: int = -1
    """export_d3dg: the saved step; -1 = the newest."""
    data: str = ""
    """import_d3dg: folder of the data set that the clip was trained on, whose cameras the other scripts use."""
    panoptic: str = ""
    """Instead of -s: a download of CMU Panoptic Studio (calibration_*.json and hdImgs/), its HD cameras."""
    fps: float | None = None
    """photos: frames taken per second of a video (left out = 2); rig: rate of folders of pictures (left out = 30)."""
    sync: Literal["auto", "none", "audio", "flash", "motion"] = "auto"
    """How the clocks of the cameras are found: by sound, a flash, or motion; auto = none if all are equally long."""
    offsets: str = ""
    """JSON file {camera: seconds} of when each camera's first frame was taken; no other synchronisation is done."""
    resize: tuple[int, ...] | None = None
    """photos: also make images_2, _4 and _8; rig: width and height in px, left out = those of the smallest camera."""
    frame_step: int = 1
    """Take every n-th moment."""
    num_frames: int = 0
    """rig: take so many moments, 0 = all; photos: take so many frames of the video, 0 = by --fps."""
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
    """rig: folder of given masks, a folder for each camera, frame by frame; photos: masks <photo's name>.png."""
    mask_threshold: float = 12.0
    """Difference of colour (CIE Lab units) from which a pixel moves."""
    num_points: int = 60000
    """At most so many points to start from."""
    test_cams: tuple[str, ...] | None = None
    """Cameras held out (names or numbers); left out = every 8th, without a value none."""
    overwrite: bool = False
    """Replace a data set that convert.py wrote before."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
