"""From a model of distorted photos to the data set: pinhole photos, masks and smaller copies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from capture.calibrate import import_pycolmap
from capture.colmap_tools import SfmTool
from scene.datasets.colmap import intrinsics
from scene.datasets.colmap_model import ColmapCamera, read_cameras, read_images, read_points3d
from scene.datasets.pictures import with_extension
from utils.image_io import read_image, write_png
from utils.progress import say

SMALLER = (2, 4, 8)
JPEG_QUALITY = 95
OPAQUE = 128  # mask values from which on a pixel counts as inside


def undistort_into(tool: SfmTool, photos: Path, model: Path, folder: Path) -> Path:
    """Pinhole photos in `folder/images` and their model in `folder/sparse/0`; returns the model."""
    made = folder / "undistorted"
    tool.undistort(photos, model, made)
    target = folder / "sparse" / "0"
    target.mkdir(parents=True)
    for file in sorted((made / "sparse").iterdir()):
        file.rename(target / file.name)
    (made / "images").rename(folder / "images")
    give_colours(tool, folder / "images", target)
    return target


def give_colours(tool: SfmTool, photos: Path, model: Path) -> None:
    """Colours for the points of a model that has none (all black)."""
    points = read_points3d(model)
    if points is not None and len(points.ids) and not points.colors.any():
        say("the points have no colours; taking them from the photos")
        tool.colour(photos, model)


def undistort_masks(masks: Mapping[str, Path], distorted: Path, pinhole: Path, folder: Path) -> None:
    """Masks of the undistorted photos as `folder/<name>.png`, 255 = inside the mask and the photo.

    Args:
        masks: mask file of each photo, 0 = masked out.
        distorted: model of the photos as they were taken.
        pinhole: model of the undistorted photos.
        folder: new folder.
    """
    lenses, new_lenses = read_cameras(distorted), read_cameras(pinhole)
    before = {image.name: lenses[image.camera_id] for image in read_images(distorted)}
    for image in read_images(pinhole):
        if image.name in masks:
            mask = read_image(masks[image.name])[..., :3].max(axis=2)
            moved = undistort_mask(mask, before[image.name], new_lenses[image.camera_id])
            write_png(folder / f"{image.name.rpartition('.')[0]}.png", moved)


def undistort_mask(mask: np.ndarray, lens: ColmapCamera, pinhole: ColmapCamera) -> np.ndarray:
    """A mask uint8 [H, W] as the pinhole camera sees it, 0 or 255; outside the photo 0."""
    fx, fy, cx, cy, distortion, fisheye = intrinsics(Path("distorted"), lens)
    nx, ny, ncx, ncy = intrinsics(Path("sparse"), pinhole)[:4]
    # OpenCV counts pixel centres from 0, COLMAP from 0.5.
    old = np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])
    new = np.array([[nx, 0, ncx - 0.5], [0, ny, ncy - 0.5], [0, 0, 1]])
    size = (pinhole.width, pinhole.height)
    coefficients = np.array(distortion or [0.0] * 4)
    if fisheye:
        maps = cv2.fisheye.initUndistortRectifyMap(old, coefficients, np.eye(3), new, size, cv2.CV_32FC1)
    else:
        maps = cv2.initUndistortRectifyMap(old, coefficients, None, new, size, cv2.CV_32FC1)
    inside = np.where(mask > 0, 255, 0).astype(np.uint8)
    moved = cv2.remap(inside, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.where(moved >= OPAQUE, 255, 0).astype(np.uint8)


def make_transparent(photos: Path, masks: Path, model: Path) -> None:
    """Turn masked photos into PNGs whose background is transparent, and rename them in the model.

    Args:
        photos: undistorted photos, changed.
        masks: their masks `<name>.png`.
        model: their model, changed.
    """
    reconstruction = import_pycolmap().Reconstruction(model)
    for image in reconstruction.images.values():
        stem = image.name.rpartition(".")[0]
        mask, photo = masks / f"{stem}.png", photos / image.name
        if not mask.is_file():
            continue
        pixels = np.dstack([read_image(photo)[..., :3], read_image(mask)[..., 0]])
        photo.unlink()
        write_png(photos / f"{stem}.png", pixels)
        image.name = f"{stem}.png"
    reconstruction.write(model)


def make_smaller(images: Path, folder: Path) -> list[Path]:
    """Copies of all photos at 1/2, 1/4 and 1/8 of their size, in `folder/images_2` and so on."""
    made = []
    for divisor in SMALLER:
        made.append(folder / f"images_{divisor}")
        for path in sorted(images.rglob("*")):
            if path.is_file() and with_extension(path) == path:
                _write_smaller(path, made[-1] / path.relative_to(images), divisor)
    return made


def _write_smaller(source: Path, target: Path, divisor: int) -> None:
    """Sizes are rounded, as `train.py -r` does; transparency is kept."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        size = tuple(max(1, round(side / divisor)) for side in image.size)
        options = {"quality": JPEG_QUALITY, "subsampling": 0} if image.format == "JPEG" else {}
        image.resize(size, Image.Resampling.LANCZOS).save(target, format=image.format, **options)
