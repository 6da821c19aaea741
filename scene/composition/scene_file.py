"""The JSON file of a composition, version 1; docs/edit.md describes it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from scene.composition.layers import EVERYTHING, WHITE, Anchor, Composition, Layer, Mount, Paint, check_composition
from scene.composition.retime import Clock
from scene.composition.section import Section, is_number, shown
from scene.composition.select import KEYS, Choice
from scene.composition.transform import Keyframe, Pose
from utils.errors import UserError
from utils.files import read_json

VERSION = 1
TOP = ("version", "base", "frames", "times", "fps", "layers", "camera")
LAYER = (
    *("name", "model", "ply", "iteration", "select", "remove", "transform", "keyframes", "pivot", "copies", "clock"),
    *("from", "gain", "opacity", "follow", "paint"),
)
POSE = ("translate", "rotate_deg", "quat_wxyz", "scale")
CLOCK = ("start", "speed", "loop", "reverse")
MOUNT = ("attach", "offset", "look", "up", "fov_deg", "smooth")
ANCHOR = ("layer", "select", "time")
PLAIN = ("all", "foreground", "background")
MAX_SCALE, MAX_GAIN, MAX_FRAMES = 1e6, 100.0, 100_000


def read_scene_file(path: str | Path) -> Composition:
    """Read and check a composition.

    Raises:
        UserError: one line about the first thing that is wrong in it.
    """
    found = read_json(path)
    try:
        return _composition(Section(found, "the file", TOP))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _composition(top: Section) -> Composition:
    if top.whole("version", 0, 0) != VERSION:
        raise UserError(f"version is {shown(top.values.get('version'))}; expected {VERSION}; mend the file")
    layers = tuple(_layer(value, index) for index, value in enumerate(top.entries("layers")))
    if not layers:
        raise UserError("layers is empty; expected at least one layer; add one")
    first = next((layer.name for layer in layers if layer.model), "")
    camera = _mount(Section(top.values["camera"], "camera", MOUNT)) if "camera" in top else None
    composition = Composition(
        layers, top.text("base", first), _times(top), top.number("fps", 30.0, 1e-3, 1e6), camera=camera
    )
    check_composition(composition)
    return composition


def _times(top: Section) -> tuple[float, ...] | None:
    top.only_one_of("frames", "times")
    if "times" in top:
        times = top.entries("times")
        rising = all(is_number(time) and 0 <= time <= 1 for time in times) and all(a < b for a, b in pairwise(times))
        if not times or not rising:
            raise UserError("times: expected rising numbers in 0..1; mend the list")
        return tuple(map(float, times))
    if "frames" not in top:
        return None
    count = top.whole("frames", 1, 1)
    if count > MAX_FRAMES:
        raise UserError(f"frames is {count}; expected at most {MAX_FRAMES}; use fewer")
    return tuple(index / max(count - 1, 1) for index in range(count))


def _layer(value: object, index: int) -> Layer:
    section = Section(value, f"layer {index + 1}", LAYER)
    name = section.text("name")
    section.where = f"layer {name!r}"
    section.only_one_of("model", "ply")
    section.only_one_of("transform", "keyframes")
    if not ("model" in section or "ply" in section):
        raise UserError(f"{section.where}: has no model and no ply; expected a model folder or a splat file; add one")
    layer = Layer(name, section.text("model", ""), section.text("ply", ""), section.whole("iteration", -1, -1))
    return replace(
        layer,
        select=_choices(section, "select") or EVERYTHING,
        remove=_choices(section, "remove"),
        keyframes=_keyframes(section),
        pivot=None if section.values.get("pivot") == "center" else section.vector("pivot", (0, 0, 0)),
        copies=tuple(_pose(Section(copy, section.place("copies"), POSE)) for copy in section.entries("copies")),
        clock=_clock(Section(section.values.get("clock", {}), section.place("clock"), CLOCK)),
        appears=section.number("from", 0.0, 0.0, 1.0),
        gain=_gain(section),
        opacity=section.number("opacity", 1.0, 0.0, 1.0),
        follow=_anchor(section.values["follow"], section.place("follow")) if "follow" in section else None,
        paint=_paint(section) if "paint" in section else None,
    )


def _choices(section: Section, key: str) -> tuple[Choice, ...]:
    value = section.values.get(key, [])
    values = value if isinstance(value, list) else [value]
    return tuple(_choice(value, section.place(key)) for value in values)


def _choice(value: object, where: str) -> Choice:
    if isinstance(value, str):
        if value not in PLAIN:
            raise UserError(f"{where} is {shown(value)}; expected {', '.join(PLAIN)}, or an object; mend it")
        return Choice(value)
    section = Section(value, where, KEYS)
    if len(section.values) != 1:
        raise UserError(f"{where} has {len(section.values)} keys; expected one of {', '.join(KEYS)}; mend it")
    (kind,) = section.values
    if kind == "box":
        return Choice(kind, _box(section))
    if kind == "gaussians":
        numbers = section.entries(kind)
        if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
            raise UserError(f"{section.place(kind)}: expected whole numbers from 0 on; mend the list")
        return Choice(kind, tuple(numbers))
    name = section.text(kind)
    if kind == "selection" and (name == ".." or Path(name).name != name):
        raise UserError(f"{section.place(kind)} is {shown(name)}; expected a plain name of segment.py --name")
    return Choice(kind, name)


def _box(section: Section) -> tuple:
    corners = section.entries("box")
    if len(corners) != 2:
        raise UserError(f"{section.place('box')}: expected two corners [low, high]; mend it")
    low, high = (Section({"box": corner}, section.where, KEYS).vector("box", (0, 0, 0)) for corner in corners)
    if any(a > b for a, b in zip(low, high, strict=True)):
        raise UserError(f"{section.place('box')} goes from {low} to {high}; expected the low corner first; swap them")
    return low, high


def _keyframes(section: Section) -> tuple[Keyframe, ...]:
    if "keyframes" not in section:
        return (Keyframe(0.0, _pose(Section(section.values.get("transform", {}), section.place("transform"), POSE))),)
    keys = tuple(_keyframe(value, section.place("keyframes")) for value in section.entries("keyframes"))
    if not keys or any(a.time >= b.time for a, b in pairwise(keys)):
        raise UserError(f"{section.place('keyframes')}: expected at least one, with rising times; mend them")
    if len({key.pose.scale for key in keys}) > 1:
        raise UserError(f"{section.place('keyframes')}: scales differ; expected one, as sizes do not change over time")
    return keys


def _keyframe(value: object, where: str) -> Keyframe:
    section = Section(value, where, ("time", *POSE))
    pose = {key: value for key, value in section.values.items() if key != "time"}
    return Keyframe(section.number("time", None, 0.0, 1.0), _pose(Section(pose, where, POSE)))


def _pose(section: Section) -> Pose:
    section.only_one_of("rotate_deg", "quat_wxyz")
    scale = section.number("scale", 1.0, 1 / MAX_SCALE, MAX_SCALE)
    quat = section.vector("quat_wxyz", (1, 0, 0, 0))
    length = math.hypot(*quat)
    if length < 1e-6:
        raise UserError(f"{section.place('quat_wxyz')} is zero; expected a rotation; mend it")
    quat = tuple(value / length for value in quat)
    if "rotate_deg" in section:
        quat = _turn(section.vector("rotate_deg", (0, 0, 0)))
    return Pose(section.vector("translate", (0, 0, 0)), quat, scale)


def _turn(rotation_deg: tuple[float, ...]) -> tuple[float, float, float, float]:
    """The quaternion of a rotation vector: along the axis, as long as the angle in degrees."""
    angle = math.hypot(*rotation_deg)
    if angle == 0:
        return (1.0, 0.0, 0.0, 0.0)
    share = math.sin(math.radians(angle) / 2) / angle
    x, y, z = (value * share for value in rotation_deg)
    return (math.cos(math.radians(angle) / 2), x, y, z)


def _clock(section: Section) -> Clock:
    loop = section.values.get("loop", False)
    if loop not in (True, False, "pingpong"):
        raise UserError(f"{section.place('loop')} is {shown(loop)}; expected true, false or pingpong; mend it")
    ending = {True: "loop", False: "hold"}.get(loop, loop)
    return Clock(section.number("start", 0.0), section.number("speed", 1.0), ending, section.flag("reverse"))


def _gain(section: Section) -> tuple[float, ...]:
    gain = section.vector("gain", WHITE)
    if not all(0 <= value <= MAX_GAIN for value in gain):
        raise UserError(f"{section.place('gain')} is {gain}; expected numbers in 0..{MAX_GAIN:g}; mend it")
    return gain


def _anchor(value: object, where: str) -> Anchor:
    section = Section(value, where, ANCHOR)
    return Anchor(
        section.text("layer"), _choices(section, "select") or EVERYTHING, section.number("time", 0.0, 0.0, 1.0)
    )


def _paint(section: Section) -> Paint:
    paint = Section(section.values["paint"], section.place("paint"), ("image", "view", "time", "mask"))
    if "model" not in section:
        raise UserError(f"{paint.where}: a splat file has no views; expected a layer with a model; remove it")
    time = paint.number("time", 0.0, 0.0, 1.0) if "time" in paint else None
    return Paint(paint.text("image"), paint.text("view"), time, paint.text("mask", ""))


def _mount(section: Section) -> Mount:
    look = section.values.get("look", [0, 0, 1])
    is_part = isinstance(look, dict)
    return Mount(
        attach=_anchor(section.values.get("attach"), "camera: attach"),
        offset=section.vector("offset", (0, 0, 0)),
        look=_anchor(look, "camera: look") if is_part else _direction(section, "look", (0, 0, 1)),
        up=_direction(section, "up", (0, -1, 0)) if "up" in section else None,
        fov_deg=section.number("fov_deg", 60.0, 1.0, 170.0),
        smooth_sec=section.number("smooth", 0.0, 0.0, 1e6),
    )


def _direction(section: Section, key: str, default: tuple[float, float, float]) -> tuple[float, ...]:
    vector = section.vector(key, default)
    if math.hypot(*vector) < 1e-6:
        raise UserError(f"{section.place(key)} is zero; expected a direction; mend it")
    return vector
