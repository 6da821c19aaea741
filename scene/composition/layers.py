"""What a scene file describes: layers, their clocks and places, and a camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scene.composition.retime import Clock
from scene.composition.select import Choice
from scene.composition.transform import Keyframe, Pose, Vector
from utils.errors import UserError

WHITE = (1.0, 1.0, 1.0)
EVERYTHING = (Choice("all"),)


@dataclass(frozen=True)
class Anchor:
    """A part of a layer that something else moves with."""

    layer: str
    choices: tuple[Choice, ...]
    time: float = 0.0
    """Moment of the composition at which things are where they were put."""


@dataclass(frozen=True)
class Paint:
    """An edited picture of a view, whose changes go onto the Gaussians that are seen there."""

    image: str
    view: str
    """Name of a photograph of the layer's data set."""
    time: float | None = None
    """Moment of the layer; None = that of the view."""
    mask: str = ""
    """Picture of where it counts, not black; empty = everywhere."""


@dataclass(frozen=True)
class Layer:
    """A set of Gaussians with its own clock and place."""

    name: str
    model: str = ""
    """Model folder; or else"""
    ply: str = ""
    """a splat file, which does not move."""
    iteration: int = -1
    select: tuple[Choice, ...] = EVERYTHING
    remove: tuple[Choice, ...] = ()
    keyframes: tuple[Keyframe, ...] = (Keyframe(0.0, Pose()),)
    pivot: Vector | None = (0.0, 0.0, 0.0)
    """Turned and scaled about this point, the layer's own units; None = its middle."""
    copies: tuple[Pose, ...] = ()
    """Of further copies, relative to the layer."""
    clock: Clock = Clock()
    appears: float = 0.0
    """Moment of the composition from which it is there."""
    gain: Vector = WHITE
    opacity: float = 1.0
    follow: Anchor | None = None
    paint: Paint | None = None


@dataclass(frozen=True)
class Mount:
    """A camera on a part."""

    attach: Anchor
    offset: Vector = (0.0, 0.0, 0.0)
    """Of the camera from the middle of the part, world axes at the anchor's moment."""
    look: Vector | Anchor = (0.0, 0.0, 1.0)
    """Direction, world axes at the anchor's moment, which turns with the part; or a part to look at."""
    up: Vector | None = None
    """Direction that points up in the picture at the anchor's moment; None = as in the photographs."""
    fov_deg: float = 60.0
    """Horizontal field of view."""
    smooth_sec: float = 0.0
    """Standard deviation of the low-pass over time."""


@dataclass(frozen=True)
class Composition:
    """A whole scene file."""

    layers: tuple[Layer, ...]
    base: str
    """Name of the layer whose data set and cameras are used."""
    times: tuple[float, ...] | None = None
    """Moments that are baked, rising in 0..1; None = those of the base's data set."""
    fps: float = 30.0
    """Moments per second, for smoothing."""
    camera: Mount | None = None

    @property
    def by_name(self) -> Mapping[str, Layer]:
        """The layers by their names."""
        return {layer.name: layer for layer in self.layers}


def check_composition(composition: Composition) -> None:
    """Refuse names that are not there or there twice, and layers that follow each other in a circle."""
    layers = composition.by_name
    if len(layers) < len(composition.layers):
        raise UserError("two layers have the same name; expected different ones; rename one of them")
    if composition.base not in layers or not layers[composition.base].model:
        known = ", ".join(layer.name for layer in composition.layers if layer.model) or "none"
        raise UserError(f"base is {composition.base!r}; expected a layer with a model, whose data set is used: {known}")
    for anchor in _anchors(composition):
        if anchor.layer not in layers:
            raise UserError(f"{anchor.layer!r} is followed but is no layer; there are {', '.join(layers)}; change it")
    for layer in composition.layers:
        _check_circle(layer, layers)


def _anchors(composition: Composition) -> list[Anchor]:
    anchors = [layer.follow for layer in composition.layers if layer.follow is not None]
    if composition.camera is not None:
        ends = (composition.camera.attach, composition.camera.look)
        anchors += [end for end in ends if isinstance(end, Anchor)]
    return anchors


def _check_circle(layer: Layer, layers: Mapping[str, Layer]) -> None:
    way = [layer.name]
    while layer.follow is not None:
        layer = layers[layer.follow.layer]
        if layer.name in way:
            raise UserError(f"layers follow in a circle: {' -> '.join([*way, layer.name])}; let one of them stand free")
        way.append(layer.name)
