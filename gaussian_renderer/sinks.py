"""Where rendered frames go: PNG folders, videos, feature pictures and tensors, the manifest of names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.frames import Frame
from scene.image_store import ImageStore
from utils.colormaps import depth_to_image
from utils.files import save_torch, write_json
from utils.image_io import to_uint8, write_png
from utils.pca import Pca
from utils.video import VideoWriter

Picture = Callable[[Frame], Tensor]  # a frame -> image [1 or 3, H, W] in 0..1
FileName = Callable[[Frame], str]


def numbered(frame: Frame) -> str:
    """`00000.png`, `00001.png`, ..."""
    return f"{frame.index:05d}.png"


class FolderSink:
    """One PNG per frame, numbered from `00000.png` or named otherwise."""

    def __init__(self, folder: Path, picture: Picture, *, name: FileName = numbered, needs_features: bool = False):
        self.folder, self.picture, self.name = Path(folder), picture, name
        self.needs_features = needs_features

    def __enter__(self) -> FolderSink:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def add(self, frame: Frame) -> None:
        """Write the frame's picture."""
        write_png(self.folder / self.name(frame), self.picture(frame))


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


class SavedFeatureSink:
    """The feature map of each frame as `%05d_fmap_CxHxW.pt`: fp16 [C, h, w], decoded when there is a decoder.

    `size` is the teacher's (h, w); a map of another size is resized to it before decoding, as in training.
    """

    needs_features = True

    def __init__(self, folder: Path, decoder: LinearDecoder | None = None, size: tuple[int, int] | None = None):
        self.folder, self.decoder, self.size = Path(folder), decoder, size

    def __enter__(self) -> SavedFeatureSink:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def add(self, frame: Frame) -> None:
        """Write the frame's map; the file name is Feature-3DGS's, letters `CxHxW` included."""
        features = _features_of(frame)
        if self.size is not None and features.shape[1:] != self.size:
            features = F.interpolate(features[None], size=self.size, mode="bilinear", align_corners=True)[0]
        if self.decoder is not None:
            features = self.decoder(features)
        save_torch(self.folder / f"{frame.index:05d}_fmap_CxHxW.pt", features.half().cpu())


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
    """The rendered image [3, H, W]."""
    return frame.color


def depth_picture(frame: Frame) -> Tensor:
    """Depth (expected depth divided by alpha) as colours [3, H, W]."""
    return depth_to_image(frame.output.depth, frame.output.alpha)


def ground_truth_picture(images: ImageStore, background: Tensor) -> Picture:
    """The photo [3, H, W] of a training or test camera, transparent pixels over the background [3]."""
    return lambda frame: images.get(frame.camera, background).image


def feature_picture(pca: Pca) -> Picture:
    """The feature map as colours, through one basis for the whole scene so that frames do not flicker."""

    def picture(frame: Frame) -> Tensor:
        unit = F.normalize(_features_of(frame), dim=0)
        colors = pca.apply(unit.movedim(0, -1).cpu()).movedim(-1, 0)
        alpha = F.interpolate(frame.output.alpha[None].cpu(), colors.shape[1:], mode="area")[0]
        return (colors * alpha).clamp(0.0, 1.0)

    return picture


def side_by_side(*pictures: Picture) -> Picture:
    """Several pictures of equal height in one row."""
    return lambda frame: torch.cat([picture(frame).cpu() for picture in pictures], dim=2)


def _features_of(frame: Frame) -> Tensor:
    if frame.output.features is None:
        raise ValueError(f"{frame.camera.image_name}: rendered without features; expected a sink with needs_features")
    return frame.output.features
