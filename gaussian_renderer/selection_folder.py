"""What a selection leaves on disk: pictures of every photographed view, a video, splat files, arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gaussian_renderer import RenderSettings, label_pictures, sinks, trajectories
from gaussian_renderer.frames import render_frames
from gaussian_renderer.label_pictures import LabelField, membership_field
from gaussian_renderer.membership import mask_picture, overlay_picture
from gaussian_renderer.moments import Moments, in_time_order, with_tails
from gaussian_renderer.trained import TrainedScene
from scene.actions import edited, painted_by_label
from scene.cameras import Camera
from scene.formats import write_splats
from scene.gaussian_model import GaussianModel
from scene.motion.freeze import frozen_at
from scene.selection import Selection
from utils.colormaps import palette
from utils.files import atomic_path, write_json
from utils.image_io import to_uint8, write_png
from utils.legend import legend_picture

VIDEO_VIEWS = 60
OF_GAUSSIANS = ("mask", "labels", "similarity", "score")  # arrays with a row per Gaussian


@dataclass(frozen=True)
class SelectionFolder:
    """Where the results of one selection go, and how they are rendered."""

    path: Path
    trained: TrainedScene
    settings: RenderSettings
    view_file: sinks.FileName  # name of a view's picture
    fps: int = 30  # of videos; 0 = none
    moments: Moments | None = None  # of a moving scene

    def write_selections(self, selections: Sequence[Selection], weight: Tensor, names: Sequence[str] = ()) -> None:
        """One selection, or several that exclude one another: then also a label map of their `names`.

        `weight` [N] is how much each Gaussian is seen.
        """
        masks = torch.stack([selection.mask for selection in selections])
        numbers = (masks * torch.arange(1, len(masks) + 1, device=masks.device)[:, None]).sum(0)
        chosen, film = numbers > 0, overlay_picture
        if self.moments is not None:
            tracks = self.moments.follow(self.trained.model, numbers, weight)
            tracks.save(self.path / "tracks.npz")
            self.moments.write_plys(self.path / "ply", self.trained.model, chosen)
            film = with_tails(film, tracks)
        if len(selections) == 1:
            features = chosen[:, None].float()
            self.write_views({"masks": mask_picture, "overlay": overlay_picture}, film, features=features)
        else:
            field = membership_field(numbers, tuple(names))
            self.write_labels(field, masks=label_pictures.any_label_picture(field))
        model = self._shown(self.trained.model)
        write_splats(self.path / "selected.ply", model.subset(chosen).to_arrays())
        write_splats(self.path / "rest.ply", model.subset(~chosen).to_arrays())
        self.write_arrays(mask=chosen, labels=numbers, **_columns(selections))

    def write_labels(self, field: LabelField, kind: str = "label", **further: sinks.Picture) -> None:
        """Number maps `<kind>s/` with their names, colours, legend, overlays, and the Gaussians in these colours."""
        colors = palette(len(field.names))
        overlay = label_pictures.overlay_picture(field, colors)
        pictures = {
            f"{kind}s": label_pictures.number_picture(field),
            f"{kind}_colors": label_pictures.color_picture(field, colors),
            "overlay": overlay,
            **further,
        }
        self.write_views(pictures, overlay, features=field.scores)
        names = {str(number): name for number, name in enumerate(("nothing", *field.names))}
        write_json(self.path / f"{kind}s" / "classes.json", names)
        write_png(self.path / "legend.png", legend_picture(field.names, to_uint8(colors.T[:, :, None])[:, 0]))
        model = painted_by_label(self.trained.model, field.of_gaussians(), colors)
        write_splats(self.path / f"{kind}s.ply", self._shown(model).to_arrays())

    def write_action(self, mask: Tensor, action: str, color: Sequence[float]) -> None:
        """The edited scene: `edited.ply`, and its views in `<action>/`."""
        model = edited(self.trained.model, mask, action, color)
        write_splats(self.path / "edited.ply", self._shown(model).to_arrays())
        self.write_views({action: sinks.color_picture}, sinks.color_picture, model=model, video=f"{action}.mp4")

    def write_views(
        self,
        pictures: Mapping[str, sinks.Picture],
        film: sinks.Picture,
        *,
        features: Tensor | None = None,  # [N, D] blended for the pictures
        model: GaussianModel | None = None,  # None = the trained one
        video: str = "overlay.mp4",
    ) -> None:
        """Pictures of all photographed views, in one folder each, and videos."""
        scene, model = self.trained.scene, model or self.trained.model
        blend = features is not None
        folders = [
            sinks.FolderSink(self.path / name, picture, name=self.view_file, needs_features=blend)
            for name, picture in pictures.items()
        ]
        shared = {"background": self.trained.background, "settings": self.settings, "features": features}
        render_frames([*scene.train, *scene.test], model, folders, **shared)
        for path, cameras in self._films(video):
            render_frames(cameras, model, [sinks.VideoSink(path, film, self.fps, needs_features=blend)], **shared)

    def _films(self, name: str) -> Iterator[tuple[Path, Iterable[Camera]]]:
        """Videos and their cameras: a path through the training views, or the time of a moving scene."""
        views, path = self.trained.scene.train, self.path / name
        if self.fps and self.moments is None:
            yield path, trajectories.slerp_path(views, VIDEO_VIEWS)
        elif self.fps:
            yield path, in_time_order(views)
            yield path.with_stem(f"{path.stem}_fixed_view"), self.moments.fixed_path()

    def _shown(self, model: GaussianModel) -> GaussianModel:
        """The model as a viewer of splat files can show it: a moving one at one moment."""
        return model if self.moments is None else frozen_at(model, self.moments.shown)

    def write_arrays(self, **arrays: Tensor) -> None:
        """`selection.npz`; arrays [N] are in the order of the model's PLY, zero in layers that were not loaded."""
        whole = {name: self.trained.all_rows(arrays[name]) for name in OF_GAUSSIANS if name in arrays}
        values = {name: value.cpu().numpy() for name, value in (arrays | whole).items()}
        with atomic_path(self.path / "selection.npz") as temp, open(temp, "wb") as file:
            np.savez_compressed(file, **values)


def _columns(selections: Sequence[Selection]) -> dict[str, Tensor]:
    """Similarities and scores [N] of one selection, [N, L] of several; thresholds and, if there were any, queries."""
    names = ("similarity", "score")
    columns = {name: torch.stack([getattr(selection, name) for selection in selections], dim=-1) for name in names}
    columns["threshold"] = torch.tensor([selection.threshold for selection in selections])
    if len(selections) == 1:
        columns = {name: value[..., 0] for name, value in columns.items()}
    prompt = selections[0].prompt
    queries = {} if prompt is None else {"positive_queries": prompt.positive, "negative_queries": prompt.negative}
    return columns | queries
