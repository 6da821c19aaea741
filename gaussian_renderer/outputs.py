"""What is written of every rendered view: folders of pictures and tensors, and videos, named as in Feature 3DGS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gaussian_renderer import sinks
from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.frames import Frame, Sink
from utils.colormaps import palette
from utils.image_io import to_uint8, write_png
from utils.legend import legend_picture
from utils.pca import Pca


@dataclass(frozen=True)
class Outputs:
    """The kinds of output of one model. Its features are a teacher's (`basis`), class scores (`classes`), or none."""

    basis: Pca | None = None
    """Colours of the teacher's space."""
    decoder: LinearDecoder | None = None
    """From rendered features to that space."""
    layout: sinks.MapLayout | None = None
    """Where features are saved; None = at every pixel that is rendered."""
    classes: tuple[str, ...] = ()
    """Names of the channels of a model of class labels."""
    depth: bool = True
    """Write depth pictures."""
    tensors: bool = True
    """Write features or labels as tensors."""

    def of_view(self, folder: Path) -> Iterator[Sink]:
        """What every folder of views has."""
        yield sinks.FolderSink(folder / "renders", sinks.color_picture)
        yield sinks.ManifestSink(folder / "manifest.json")
        if self.depth:
            yield sinks.FolderSink(folder / "depth", sinks.depth_picture)
        if self.basis is not None:
            picture = sinks.feature_picture(self.basis, self.decoder)
            yield sinks.FolderSink(folder / "feature_map", picture, name=feature_file, needs_features=True)
            if self.tensors:
                yield sinks.SavedFeatureSink(folder / "saved_feature", self.decoder, self.layout)
        if self.classes:
            picture = sinks.label_picture(palette(len(self.classes)))
            yield sinks.FolderSink(folder / "labels", picture, needs_features=True)
            if self.tensors:
                yield sinks.SavedLabelSink(folder / "saved_labels")

    def of_teacher(self, folder: Path, lookup: sinks.Lookup) -> Iterator[Sink]:
        """What the teacher says about photographed views, in the same colours; `lookup` returns its maps by name."""
        if self.basis is not None:
            picture = sinks.teacher_picture(lookup, self.basis)
            yield sinks.FolderSink(folder / "gt_feature_map", picture, name=feature_file)
        if self.classes:
            picture = sinks.true_label_picture(lookup, palette(len(self.classes)))
            yield sinks.FolderSink(folder / "gt_labels", picture)

    def videos(self, folder: Path, stem: str, fps: int) -> Iterator[Sink]:
        """Videos of the colours, and of the features or labels."""
        yield sinks.VideoSink(folder / f"{stem}.mp4", sinks.color_picture, fps)
        if self.basis is not None:
            picture = sinks.feature_picture(self.basis, self.decoder)
            yield sinks.VideoSink(folder / f"{stem}_fmap.mp4", picture, fps, needs_features=True)
        if self.classes:
            picture = sinks.label_picture(palette(len(self.classes)))
            yield sinks.VideoSink(folder / f"{stem}_labels.mp4", picture, fps, needs_features=True)

    def write_legend(self, folder: Path) -> None:
        """`label_legend.png`: the class of each colour; nothing for other models."""
        if self.classes:
            colors = to_uint8(palette(len(self.classes)).T[:, :, None])[:, 0]
            write_png(folder / "label_legend.png", legend_picture(self.classes, colors))


def feature_file(frame: Frame) -> str:
    """Name of a feature picture."""
    return f"{frame.index:05d}_feature_vis.png"
