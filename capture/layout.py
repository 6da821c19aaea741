"""The data set on disk: pictures, masks, cloud and cameras in the layout of Dynamic 3D Gaussians."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from scene.scene_info import CameraInfo, PointCloud
from utils.errors import UserError
from utils.files import atomic_path, read_json, write_json
from utils.image_io import write_png

MARKER = "capture.json"  # how the data set was made, and whether it is complete
PARTS = ("ims", "seg", "init_pt_cld.npz", "train_meta.json", "test_meta.json", "report.html", MARKER)
JPEG_QUALITY = 95
TEST_EVERY = 8
MIN_CAMERAS_FOR_TEST = 5


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """Make room for a data set; only what an earlier run of ours wrote is ever removed, and only if asked."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; expected a new folder; choose another --output")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise UserError(f"{folder} holds other files; expected a new folder; choose another --output")
        if not overwrite:
            state = "a data set" if read_json(folder / MARKER).get("complete") else "an unfinished data set"
            raise UserError(f"{folder} holds {state}; expected a new folder; add --overwrite to replace it")
        for name in PARTS:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    write_json(folder / MARKER, {"complete": False})


def camera_numbers(names: Sequence[str]) -> list[int]:
    """A number for each camera: the one its name ends with where these differ, else its place."""
    ends = [re.search(r"(\d+)\D*$", name) for name in names]
    numbers = [int(end[1]) for end in ends if end]
    return numbers if len(set(numbers)) == len(names) else list(range(len(names)))


def held_out(names: Sequence[str], numbers: Sequence[int], wanted: Sequence[str] | None) -> list[int]:
    """Places of the test cameras: those wanted, by name or number; None = every 8th if there are 5 or more."""
    if wanted is None:
        enough = len(names) >= MIN_CAMERAS_FOR_TEST
        return list(range(min(TEST_EVERY, len(names)) // 2, len(names), TEST_EVERY)) if enough else []
    known = {**{str(number): place for place, number in enumerate(numbers)}, **{n: p for p, n in enumerate(names)}}
    unknown = [name for name in wanted if name not in known]
    if unknown or len({known[name] for name in wanted}) >= len(names):
        raise UserError(
            f"--test_cams {' '.join(wanted)}: expected some, but not all, of {', '.join(names)}; correct the list"
        )
    return sorted({known[name] for name in wanted})


def write_picture(folder: Path, camera: CameraInfo, moment: int, image: np.ndarray) -> None:
    """`ims/<camera>/<moment>.jpg`."""
    with atomic_path(folder / "ims" / picture_name(camera.camera_id, moment)) as temp:
        Image.fromarray(image).save(temp, format="JPEG", quality=JPEG_QUALITY, subsampling=0)


def write_mask(folder: Path, camera: CameraInfo, moment: int, mask: np.ndarray) -> None:
    """`seg/<camera>/<moment>.png` with 0 and 1, as the original reads it."""
    name = picture_name(camera.camera_id, moment).replace(".jpg", ".png")
    write_png(folder / "seg" / name, mask.astype(np.uint8))


def picture_name(number: int, moment: int) -> str:
    """Name of a picture below `ims/`."""
    return f"{number}/{moment:06d}.jpg"


def write_cloud(folder: Path, cloud: PointCloud) -> None:
    """`init_pt_cld.npz`: x y z, r g b in 0..1, share of foreground."""
    data = np.concatenate([cloud.positions, cloud.colors, cloud.foreground[:, None]], axis=1).astype(np.float32)
    with atomic_path(folder / "init_pt_cld.npz") as temp:
        np.savez_compressed(temp, data=data)


def write_cameras(folder: Path, cameras: Sequence[CameraInfo], test: Sequence[int], num_moments: int) -> None:
    """`test_meta.json`, then `train_meta.json`, by which readers know a data set: it comes last."""
    for split in ("test", "train"):
        chosen = [camera for place, camera in enumerate(cameras) if (place in test) == (split == "test")]
        write_json(folder / f"{split}_meta.json", _meta(chosen, cameras[0], num_moments))


def _meta(chosen: Sequence[CameraInfo], any_camera: CameraInfo, num_moments: int) -> dict:
    matrices = [[[c.fx, 0, c.cx], [0, c.fy, c.cy], [0, 0, 1]] for c in chosen]
    return {
        "w": any_camera.width,
        "h": any_camera.height,
        "fn": [[picture_name(camera.camera_id, moment) for camera in chosen] for moment in range(num_moments)],
        "cam_id": [[camera.camera_id for camera in chosen]] * num_moments,
        "k": [matrices] * num_moments,
        "w2c": [[camera.world_to_camera.tolist() for camera in chosen]] * num_moments,
    }
