"""Where rendered frames go: PNG folders, videos, feature pictures and tensors, the manifest of names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch.nn.functional as F
from ndraster import CellGrid, read_bilinear
from torch import Tensor

from gaussian_renderer.feature_basis import FeatureColors
from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.frames import Frame
from scene.cameras import Camera
from scene.image_store import ImageStore
from utils.colormaps import depth_to_image
from utils.files import save_torch, write_json
from utils.image_io import to_uint8, write_png
from utils.pca import Pca
from utils.video import VideoWriter

Picture = Callable[[Frame], Tensor]  # a frame -> image [1 or 3, H, W] in 0..1
MaybePicture = Callable[[Frame], Tensor | None]  # None = there is none of this frame
Lookup = Callable[[str], Tensor | None]  # image name -> map of that view, or None


class Maps(Protocol):
    """Maps of photographed views by image name."""

    def has(self, image_name: str) -> bool: ...

    def get(self, image_name: str) -> Tensor: ...


FileName = Callable[[Frame], str]


def numbered(frame: Frame) -> str:
    """`00000.png`, `00001.png`, ..."""
    return f"{frame.index:05d}.png"


class FolderSink:
    """One PNG per frame that has a picture, numbered from `00000.png` or named otherwise."""

    def __init__(self, folder: Path, picture: MaybePicture, *, name: FileName = numbered, needs_features: bool = False):
        self.folder, self.picture, self.name = Path(folder), picture, name
        self.needs_features = needs_features

    def __enter__(self) -> FolderSink:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def add(self, frame: Frame) -> None:
        """Write the frame's picture, if there is one."""
        picture = self.picture(frame)
        if picture is not None:
            write_png(self.folder / self.name(frame), picture)


class VideoSink:
    """All frames as one mp4 file."""

    def __init__(self, path: Path, picture: Picture, fps: int = 30, *, needs_features: bool = False):
        self.path, self.picture, self.needs_features = Path(path), picture, needs_features
        self._writer = VideoWriter(self.path, fps)

    def __enter__(self) -> VideoSink:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.__exit__(*exception)

    def add(self, frame: Frame) -> None:
        """Append the frame's picture."""
        self._writer.add(to_uint8(self.picture(frame)))


@dataclass(frozen=True)
class MapLayout:
    """The size of a teacher's maps, and where their cells lie on a picture."""

    size: tuple[int, int]
    """(h, w) in cells."""
    placement: tuple[float, float, float, float] | None = None
    """x0, dx, y0, dy: cell centres in picture widths and heights; None = corner cells lie on corner pixels."""

    def read(self, features: Tensor, camera: Camera) -> Tensor:
        """The map [D, h, w] read from one [D, H, W] of the camera's size; one of another size is returned as it is."""
        if tuple(features.shape[1:]) != (camera.height, camera.width):
            return features
        pinhole = camera.pinhole
        corners = CellGrid.corners(self.size, pinhole)
        grid = corners if self.placement is None else CellGrid.of_fractions(*self.placement, pinhole)
        return read_bilinear(features, grid, self.size)


class SavedFeatureSink:
    """The feature map of each frame as `%05d_fmap_CxHxW.pt`: fp16 [C, h, w], decoded when there is a decoder.

    `layout` is that of the teacher's maps: features are read at its cells before decoding, as in training.
    """

    needs_features = True

    def __init__(self, folder: Path, decoder: LinearDecoder | None = None, layout: MapLayout | None = None):
        self.folder, self.decoder, self.layout = Path(folder), decoder, layout

    def __enter__(self) -> SavedFeatureSink:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def add(self, frame: Frame) -> None:
        """Write the frame's map; the file name is Feature-3DGS's, letters `CxHxW` included."""
        features = _features_of(frame)
        if self.layout is not None:
            features = self.layout.read(features, frame.camera)
        if self.decoder is not None:
            features = self.decoder(features)
        save_torch(self.folder / f"{frame.index:05d}_fmap_CxHxW.pt", features.half().cpu())


class SavedLabelSink:
    """The likeliest class of each pixel as `%05d_label_CxHxW.pt`: int64 [H, W], despite the name (Label-3DGS's)."""

    needs_features = True

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def __enter__(self) -> SavedLabelSink:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def add(self, frame: Frame) -> None:
        """Write the frame's classes."""
        save_torch(self.folder / f"{frame.index:05d}_label_CxHxW.pt", label_map(frame).cpu())


class ManifestSink:
    """`manifest.json`: which picture number shows which view, at what size and time."""

    needs_features = False

    def __init__(self, path: Path):
        self.path = Path(path)
        self._rows: list[dict] = []

    def __enter__(self) -> ManifestSink:
        self._rows = []
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"frames": self._rows})

    def add(self, frame: Frame) -> None:
        """Note the frame's name."""
        camera = frame.camera
        row = {"index": frame.index, "image_name": camera.image_name, "width": camera.width, "height": camera.height}
        self._rows.append(row | {"time": camera.time})


def color_picture(frame: Frame) -> Tensor:
    """The rendered image [3, H, W], of half a test view that half (--train_test_exp)."""
    return frame.camera.measured(frame.color)


def depth_picture(frame: Frame) -> Tensor:
    """Depth (expected depth divided by alpha) as colours [3, H, W]."""
    return depth_to_image(frame.output.depth, frame.output.alpha)


def ground_truth_picture(images: ImageStore, background: Tensor) -> Picture:
    """The photo [3, H, W] of a training or test camera, transparent pixels over the background [3].

    Of half a test view that half, as in `color_picture`.
    """
    return lambda frame: frame.camera.measured(images.get(frame.camera, background).image)


def feature_picture(basis: Pca, decoder: LinearDecoder | None = None) -> Picture:
    """The feature map as colours, through one basis for the whole scene so that frames do not flicker.

    Args:
        basis: of the teacher's space.
        decoder: from the rendered features to that space; None = they live there.
    """
    colors = FeatureColors(basis, decoder)

    def picture(frame: Frame) -> Tensor:
        features = _features_of(frame)
        return colors.of(features) * _alpha_at(frame, features.shape[1:])

    return picture


def teacher_picture(lookup: Lookup, basis: Pca) -> MaybePicture:
    """The teacher's map of the frame's view in the colours of `feature_picture`, at the map's own size."""
    colors = FeatureColors(basis)

    def picture(frame: Frame) -> Tensor | None:
        features = lookup(frame.camera.image_name)
        return None if features is None else colors.of(features)

    return picture


def label_map(frame: Frame) -> Tensor:
    """The likeliest class [H, W] int64 of each pixel of a frame whose features are class scores."""
    return _features_of(frame).argmax(0)


def label_picture(palette: Tensor) -> Picture:
    """Classes as colours; `palette` is [K, 3] in 0..1. Black where nothing is."""

    def picture(frame: Frame) -> Tensor:
        labels = label_map(frame)
        return label_colors(labels, palette) * _alpha_at(frame, labels.shape)

    return picture


def true_label_picture(lookup: Lookup, palette: Tensor) -> MaybePicture:
    """The true classes of the frame's view in the same colours, at the label map's own size."""

    def picture(frame: Frame) -> Tensor | None:
        labels = lookup(frame.camera.image_name)
        return None if labels is None else label_colors(labels, palette)

    return picture


def label_colors(labels: Tensor, palette: Tensor) -> Tensor:
    """Class numbers [h, w] as colours [3, h, w]; negative ones (unknown) are black."""
    colors = palette.to(labels.device)[labels.clamp_min(0)] * (labels >= 0)[..., None]
    return colors.movedim(-1, 0)


def _features_of(frame: Frame) -> Tensor:
    if frame.output.features is None:
        raise ValueError(f"{frame.camera.image_name}: rendered without features; expected a sink with needs_features")
    return frame.output.features


def _alpha_at(frame: Frame, size: tuple[int, int]) -> Tensor:
    """Alpha [1, h, w] at the size of a feature map."""
    return F.interpolate(frame.output.alpha[None], size, mode="area")[0].clamp(0.0, 1.0)
