"""Ground-truth pictures: decoded when first needed, kept as bytes, fetched ahead by background threads."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scene.cameras import Camera
from scene.datasets.foreground import read_foreground
from scene.datasets.undistort import undistort
from scene.scene_info import CameraInfo, DatasetError
from utils.image_io import read_image, read_values, resize_uint8
from utils.progress import warn

DECODING_THREADS = min(8, os.cpu_count() or 2)
GPU_SHARE = 0.25
"""Pictures go to the GPU by themselves if they fit in this share of its free memory."""
RAM_SHARE = 0.5
"""Pictures beyond this share of the main memory are decoded again when needed."""
DEPTH_BYTES = 4
"""Of an inverse depth."""
_FALLBACK_RAM_BYTES = 8 << 30
FLAT_BACKGROUNDS = {"black": 0.0, "white": 255.0}
"""What transparent pictures can be flattened onto; `drop` forgets their transparency instead."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """What a render is compared with, on the training device."""

    image: Tensor  # [3, H, W] float 0..1, transparent pictures composited on the background
    alpha: Tensor | None  # [1, H, W] float 0..1 of transparent pictures
    weight: Tensor | None  # [1, H, W] float 0..1, 0 = ignore this pixel; None = all count
    foreground: Tensor | None = None  # [1, H, W] float 0..1, share of what may move; None = not known
    inverse_depth: Tensor | None = None  # [1, H, W] of what is rendered over nothing, 1/world units; None = not known


@dataclass(frozen=True, eq=False)
class StoredImage:
    """Bytes of one picture, and what else is known of its pixels."""

    pixels: Tensor  # [3 | 4, H, W] uint8
    weight: Tensor | None  # [1, H, W] uint8
    foreground: Tensor | None = None  # [1, H, W] uint8, 255 = may move
    inverse_depth: Tensor | None = None  # [1, H, W] float32, 1/world units

    @property
    def parts(self) -> tuple[Tensor | None, ...]:
        """All of them, in the order of the fields."""
        return self.pixels, self.weight, self.foreground, self.inverse_depth

    @property
    def num_bytes(self) -> int:
        return sum(part.nbytes for part in self.parts if part is not None)

    def to(self, device: torch.device) -> StoredImage:
        """The same on another device; does not wait for it."""
        return StoredImage(*(None if part is None else part.to(device, non_blocking=True) for part in self.parts))


class ImageStore:
    """Pictures of the cameras at the cameras' sizes.

    Args:
        cameras: all cameras whose pictures may be asked for (for the memory estimate).
        device: where `get` delivers.
        data_device: where the bytes are kept: `cpu`, `cuda`, or `auto` = on the GPU if there is plenty of room.
        prefetch: decode ahead in background threads when `prefetch` is called.
        flatten: makes transparent pictures opaque when they are read: one of `FLAT_BACKGROUNDS`, or `drop`; empty =
            they stay transparent.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        device: torch.device | str,
        data_device: str = "auto",
        prefetch: bool = True,
        flatten: str = "",
    ) -> None:
        self.device = torch.device(device)
        self.flatten = flatten
        self.total_bytes = sum(estimated_bytes(camera, bool(flatten)) for camera in cameras)
        self.data_device = choose_data_device(data_device, self.device, self.total_bytes)
        self._limit_bytes = self.total_bytes if self.data_device.type == "cuda" else int(RAM_SHARE * ram_bytes())
        # Pinned blocks are rounded up to powers of two, so only what fits easily is pinned.
        fits = 2 * self.total_bytes <= self._limit_bytes
        self._pinned = fits and self.data_device.type == "cpu" and self.device.type == "cuda"
        self._stored: OrderedDict[tuple, StoredImage] = OrderedDict()
        self._stored_bytes = 0
        self._pending: dict[tuple, Future[StoredImage]] = {}
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="images") if prefetch else None

    def describe(self) -> str:
        """The memory estimate in words."""
        text = f"images: {format_bytes(self.total_bytes)} as bytes on {self.data_device}"
        if self.total_bytes > self._limit_bytes:
            text += f", of which {format_bytes(self._limit_bytes)} are kept and the rest is decoded again when needed"
        return text

    def prefetch_all(self, cameras: Sequence[Camera]) -> None:
        """Starts decoding all these pictures, if all can be kept."""
        if self.total_bytes <= self._limit_bytes:
            for camera in cameras:
                self.prefetch(camera)

    def prefetch(self, camera: Camera) -> None:
        """Starts decoding a picture that will be asked for soon."""
        key = _key(camera)
        with self._lock:
            if self._threads is not None and key not in self._stored and key not in self._pending:
                self._pending[key] = self._threads.submit(self._load, camera)

    def get(self, camera: Camera, background: Tensor | None = None) -> GroundTruth:
        """The picture of a camera, composited on the background of the render.

        Args:
            camera: any size; the photograph is resized to it.
            background: [3] RGB 0..1 under transparent pixels; None = black.
        """
        stored = self.stored(camera).to(self.device)
        return composite(stored, None if background is None else background.to(self.device))

    def close(self) -> None:
        """Stops the background threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            self._threads = None

    def stored(self, camera: Camera) -> StoredImage:
        """The bytes of a camera's picture, where they are kept."""
        key = _key(camera)
        with self._lock:
            if key in self._stored:
                self._stored.move_to_end(key)
                return self._stored[key]
            pending = self._pending.pop(key, None)
        stored = self._load(camera) if pending is None else pending.result()
        with self._lock:
            self._keep(key, stored)
        return stored

    def _keep(self, key: tuple, stored: StoredImage) -> None:
        """Remembers a picture and forgets those unused for longest beyond the limit."""
        self._stored[key] = stored
        self._stored_bytes += stored.num_bytes
        while self._stored_bytes > self._limit_bytes and len(self._stored) > 1:
            _, oldest = self._stored.popitem(last=False)
            self._stored_bytes -= oldest.num_bytes

    def _load(self, camera: Camera) -> StoredImage:
        return StoredImage(*(None if part is None else self._place(part) for part in decode(camera, self.flatten)))

    def _place(self, array: np.ndarray) -> Tensor:
        """[H, W, C] array as [C, H, W] tensor where bytes are kept, pinned if the GPU will fetch it."""
        tensor = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
        if self._pinned:
            return tensor.pin_memory()
        return tensor.to(self.data_device)


def composite(stored: StoredImage, background: Tensor | None) -> GroundTruth:
    """Bytes as the numbers that a render is compared with; all on one device.

    Args:
        stored: of one picture.
        background: [3] under transparent pixels; None = black.
    """
    pixels = stored.pixels / 255
    weight = None if stored.weight is None else stored.weight / 255
    foreground = None if stored.foreground is None else stored.foreground / 255
    if pixels.shape[0] == 3:
        return GroundTruth(pixels, None, weight, foreground, stored.inverse_depth)
    color, alpha = pixels[:3], pixels[3:]
    image = color * alpha
    if background is not None:
        image = image + background[:, None, None] * (1 - alpha)
    inverse_depth = None if stored.inverse_depth is None else stored.inverse_depth * alpha
    return GroundTruth(image, alpha, weight, foreground, inverse_depth)


def flattened(pixels: np.ndarray, how: str) -> np.ndarray:
    """Pixels [H, W, 3 | 4] uint8 without transparency, [H, W, 3]; `how` is one of `FLAT_BACKGROUNDS` or `drop`."""
    if pixels.shape[2] == 3 or how == "drop":
        return pixels[:, :, :3]
    alpha = pixels[:, :, 3:].astype(np.float32) / 255
    return np.rint(pixels[:, :, :3] * alpha + FLAT_BACKGROUNDS[how] * (1 - alpha)).astype(np.uint8)


def decode(
    camera: Camera, flatten: str = ""
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Pixels [H, W, 3 | 4], weights and foreground [H, W, 1] (or None), uint8, and inverse depths [H, W, 1] float32
    (or None); all undistorted and at the camera's size.

    Raises:
        DatasetError: the camera has no photograph, the file has changed its size since it was listed, or the
            foreground has another size.
        UserError: the file cannot be decoded.
    """
    info = camera.info
    if info is None:
        raise DatasetError(f"camera {camera.image_name} has no photograph; only cameras of the data set have one")
    pixels = read_image(info.image_path)
    if pixels.shape[:2] != (info.height, info.width):
        found = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise DatasetError(f"{info.image_path}: is {found}, was {info.width}x{info.height} when listed; start again")
    pixels = pixels if info.matte_path is None else _matted(pixels, info)
    if flatten:
        pixels = flattened(pixels, flatten)
    weight = None if info.mask_path is None else _read_mask(info)
    foreground = None if info.foreground_path is None else read_foreground(info)
    if info.distortion:
        pixels, weight = _undistorted(pixels, weight, info)
        foreground = None if foreground is None else undistort(foreground[:, :, None], info)[0][:, :, 0]
    size = camera.width, camera.height
    weight, foreground = (None if part is None else _shrink(part, *size)[:, :, None] for part in (weight, foreground))
    weight = weight if info.half == "both" else _half(weight, camera)
    return resize_uint8(pixels, *size), weight, foreground, inverse_depths(camera)


def inverse_depths(camera: Camera) -> np.ndarray | None:
    """The inverse depths [H, W, 1] float32, 1/world units, that a camera's view is held to; None = not known."""
    info = camera.info
    if info is None or info.depth is None:
        return None
    values = read_values(info.depth.path) / np.float32(info.depth.divisor)
    if info.distortion:
        values = cv2.resize(values, (info.width, info.height), interpolation=cv2.INTER_LINEAR)
        values = undistort(values[:, :, None], info)[0][:, :, 0]
    values = cv2.resize(values, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)
    aligned = np.maximum(values, 0) * info.depth.scale + info.depth.offset
    return aligned.astype(np.float32)[:, :, None]


def estimated_bytes(camera: Camera, is_opaque: bool = False) -> int:
    """Bytes that a camera's picture takes; unless it is made opaque, alpha is looked up in the file's header."""
    if camera.info is None:
        return 0
    info = camera.info
    has_alpha = not is_opaque and (info.matte_path is not None or has_transparency(camera))
    has_weight = info.mask_path is not None or bool(info.distortion) or info.half != "both"
    others = has_weight + (info.foreground_path is not None) + DEPTH_BYTES * (info.depth is not None)
    return camera.width * camera.height * (3 + has_alpha + others)


def has_transparency(camera: Camera) -> bool:
    """Whether the header of a camera's picture announces alpha."""
    if camera.info is None:
        return False
    try:
        with Image.open(camera.info.image_path) as image:
            return image.has_transparency_data
    except (OSError, ValueError, SyntaxError):
        return False  # decoding will say what is wrong


def choose_data_device(name: str, device: torch.device, num_bytes: int) -> torch.device:
    """Where to keep the pictures: as told, or on the GPU of the training if they fit easily."""
    if name != "auto":
        wanted = torch.device(name)
        if wanted.type == "cuda" and not torch.cuda.is_available():
            warn("--data_device cuda: no GPU here, images stay on the cpu")
            return torch.device("cpu")
        return wanted
    if device.type != "cuda":
        return torch.device("cpu")
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return device if num_bytes <= GPU_SHARE * free_bytes else torch.device("cpu")


def format_bytes(count: float) -> str:
    """A number of bytes in readable units."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _key(camera: Camera) -> tuple:
    half = "both" if camera.info is None else camera.info.half
    return camera.image_name, camera.width, camera.height, half


def ram_bytes() -> int:
    """Size of the main memory."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return _FALLBACK_RAM_BYTES


def _read_mask(info: CameraInfo) -> np.ndarray:
    """[H, W] uint8 at the size of the image file: 255 where the mask is not zero."""
    mask = read_image(info.mask_path)[:, :, :3].max(axis=2)
    return resize_uint8(np.where(mask > 0, 255, 0).astype(np.uint8), info.width, info.height, nearest=True)


def _matted(pixels: np.ndarray, info: CameraInfo) -> np.ndarray:
    """[H, W, 4] uint8: the pixels with the opacity of the matte, times their own if they have one.

    A file without values above 1 is a matte of ones and zeros.
    """
    matte = read_image(info.matte_path)[:, :, :3].max(axis=2)
    matte = matte if matte.max(initial=0) > 1 else matte * np.uint8(255)
    matte = resize_uint8(matte, info.width, info.height)[:, :, None]
    if pixels.shape[2] == 4:
        matte = np.rint(matte * (pixels[:, :, 3:] / 255)).astype(np.uint8)
    return np.concatenate([pixels[:, :, :3], matte], axis=2)


def _half(weight: np.ndarray | None, camera: Camera) -> np.ndarray:
    """[H, W, 1] weights that are 0 outside the half that counts."""
    inside = np.zeros((camera.height, camera.width, 1), np.uint8)
    columns = camera.info.counted_columns(camera.width)
    inside[:, columns] = 255 if weight is None else weight[:, columns]
    return inside


def _undistorted(pixels: np.ndarray, weight: np.ndarray | None, info: CameraInfo) -> tuple[np.ndarray, np.ndarray]:
    """Pinhole pixels and weights; pixels that the photograph does not have weigh nothing."""
    straight, valid = undistort(pixels, info)
    if weight is None:
        return straight, np.where(valid, 255, 0).astype(np.uint8)
    moved, _ = undistort(weight[:, :, None], info, nearest=True)
    return straight, np.where(valid, moved[:, :, 0], 0).astype(np.uint8)


def _shrink(weight: np.ndarray, width: int, height: int) -> np.ndarray:
    """[H, W] weights or shares at another size: the mean of the pixels that fall together."""
    if weight.shape == (height, width):
        return weight
    return np.array(Image.fromarray(weight).resize((width, height), Image.Resampling.BOX))
