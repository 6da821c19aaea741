"""From a camera and a visitor's choices to the picture on the canvas."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gaussian_renderer import render, sinks
from gaussian_renderer.feature_basis import fitted_basis, scene_basis
from gaussian_renderer.frames import Frame
from gaussian_renderer.membership import overlay_picture
from gaussian_renderer.moments import NUM_TAILS, with_tails
from gaussian_renderer.sinks import Picture
from gaussian_renderer.tracks import Tracks, sampled
from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from utils.colormaps import depth_limits, palette, turbo
from utils.pca import Pca
from utils.progress import warn
from viewer.client_cameras import view_at
from viewer.photos import compared, placed
from viewer.questions import Answer
from viewer.source import Snapshot, Source
from viewer.view_state import MARKED, ONLY, PLAIN, WITHOUT, ViewState


@dataclass(frozen=True)
class Shown:
    """The Gaussians that are drawn."""

    model: GaussianModel
    keep: Tensor | None = None  # [N] bool of the whole model; None = all

    def rows(self, values: Tensor) -> Tensor:
        """Values [N, ...] of the whole model for those that are drawn."""
        return values if self.keep is None else values[self.keep]


class Painter:
    """Draws a model; to be used on the thread that owns it. Keeps what successive pictures share."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._basis: Pca | None = None
        self._basis_of: Hashable = None
        self._shown: Shown | None = None
        self._shown_of: tuple = ()
        self._tracks: Tracks | None = None
        self._tracks_of: tuple = ()

    @torch.no_grad()
    def paint(self, camera: Camera, state: ViewState, answer: Answer | None = None) -> Tensor:
        """The picture [3, H, W] in 0..1 of a camera at its own time."""
        snapshot = self._source.now()
        answer = answer if answer is not None and answer.rows == snapshot.rows else None
        shown = self.shown(snapshot, camera.time, state, answer)
        picture, rows = self._style(snapshot, shown, state, answer)
        if rows is not None:  # frozen layers are drawn, too
            rows = shown.model.layers.of_width(rows.shape[1]).behind_rows(rows)
        settings = replace(self._source.settings, with_features=rows is not None, scale_modifier=state.scale)
        output = render(camera, shown.model, self._source.background, settings=settings, features=rows)
        image = picture(Frame(0, camera, output)).clamp(0, 1).expand(3, -1, -1)
        return self._with_photo(image, camera, state)

    def shown(self, snapshot: Snapshot, time: float, state: ViewState, answer: Answer | None) -> Shown:
        """What of the model is to be seen at a moment."""
        moment = time if state.crop is not None and not snapshot.model.motion.is_static else None
        chosen = answer if state.show in (ONLY, WITHOUT) else None
        key = (snapshot.values, state.hidden, state.crop, state.show if chosen else "", chosen, moment)
        if self._shown is None or key != self._shown_of:
            keep = self._kept(snapshot, time, state, chosen)
            model = snapshot.model if keep is None else snapshot.model.subset(keep)
            self._shown, self._shown_of = Shown(model, keep), key
        return self._shown

    def _kept(self, snapshot: Snapshot, time: float, state: ViewState, chosen: Answer | None) -> Tensor | None:
        model = snapshot.model
        masks = [
            ~group.rows.to(model.device)
            for group in self._source.groups
            if group.name in state.hidden and len(group.rows) == len(model)
        ]
        if state.crop is not None:
            means = model.means if model.motion.is_static else model.at(time).means[: len(model)]
            masks.append(state.crop.holds(means))
        if chosen is not None:
            masks.append(chosen.selection.mask if state.show == ONLY else ~chosen.selection.mask)
        return torch.stack(masks).all(0) if masks else None

    def _style(
        self, snapshot: Snapshot, shown: Shown, state: ViewState, answer: Answer | None
    ) -> tuple[Picture, Tensor | None]:
        """How a frame becomes a picture, and the rows [N, D] that are blended for it; None = none."""
        features = shown.model.features
        if state.mode == "depth":
            return sinks.depth_picture, None
        if state.mode == "alpha":
            return _alpha_picture, None
        if state.mode == "labels" and self._source.classes and features is not None:
            rows = features.softmax(1) if self._source.blends_probabilities else features
            return sinks.label_picture(palette(len(self._source.classes))), rows
        if state.mode == "features" and features is not None and not self._source.classes:
            return sinks.feature_picture(self._colors(snapshot), snapshot.decoder), features
        if state.mode == "similarity" and answer is not None:
            return _heat_picture, shown.rows(_heat(answer))[:, None]
        if answer is None or state.show == PLAIN:
            return sinks.color_picture, None
        if state.show != MARKED:
            return self._tailed(sinks.color_picture, snapshot, state, answer), None
        rows = shown.rows(answer.selection.mask)[:, None].float()
        return self._tailed(overlay_picture, snapshot, state, answer), rows

    def _tailed(self, picture: Picture, snapshot: Snapshot, state: ViewState, answer: Answer) -> Picture:
        if not state.tails or snapshot.model.motion.is_static:
            return picture
        key = (snapshot.values, answer)
        if key != self._tracks_of:
            mask = answer.selection.mask
            times = [time for time in self._source.times if snapshot.model.motion.knows(time)]
            chosen = sampled(mask, answer.weight, NUM_TAILS)
            self._tracks, self._tracks_of = Tracks.of(snapshot.model, mask.long(), chosen, times), key
        return with_tails(picture, self._tracks)

    def _colors(self, snapshot: Snapshot) -> Pca:
        """Colours of the features; those of a model in training are found anew whenever there are other Gaussians."""
        if self._basis is None or self._basis_of != snapshot.rows:
            self._basis, self._basis_of = self._fitted(snapshot), snapshot.rows
        return self._basis

    def _fitted(self, snapshot: Snapshot) -> Pca:
        source, model = self._source, snapshot.model
        views = [view for view in source.vantages if model.motion.knows(view.time)]
        if source.basis_path is not None:
            try:
                return scene_basis(source.basis_path, views, model, source.settings, snapshot.decoder)
            except OSError as error:
                warn(f"the colours of features are not kept ({error})")
        return fitted_basis(views, model, source.settings, snapshot.decoder)

    def _with_photo(self, image: Tensor, camera: Camera, state: ViewState) -> Tensor:
        source = self._source
        if state.comparison == "off" or source.images is None:
            return image
        view = view_at(camera, source.views, source.surroundings.radius)
        if view is None or view.info is None:
            return image
        photo = source.images.get(view, source.background).image.to(image)
        drawn, inside = placed(photo, view, camera)
        return compared(image, drawn, inside, state.comparison, state.share)


def _alpha_picture(frame: Frame) -> Tensor:
    return frame.output.alpha


def _heat(answer: Answer) -> Tensor:
    """Similarities [N] as 0..1, between the ends of those that are seen."""
    similarity = answer.selection.similarity.detach()
    seen = similarity[answer.weight > 0]
    low, high = depth_limits(seen if len(seen) else similarity)
    return ((similarity - low) / max(high - low, 1e-12)).clamp(0, 1)


def _heat_picture(frame: Frame) -> Tensor:
    alpha = frame.output.alpha
    return turbo(frame.output.features[0] / alpha[0].clamp_min(1e-6)) * alpha
