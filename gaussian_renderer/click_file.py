"""Clicks in views from anywhere, in a file: a JSON list of `{"camera", "positive", "negative"}`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gaussian_renderer.camera_file import LAYOUT, camera_entry, camera_of
from gaussian_renderer.mask_lifting import ViewPrompt
from scene.cameras import Camera
from scene.prompts import Point
from utils.errors import UserError
from utils.files import read_json, write_json

Clicks = tuple[Camera, ViewPrompt]


def write_clicks(path: str | Path, clicks: Sequence[Clicks]) -> None:
    """Write what `read_clicks` reads back."""
    rows = [
        {"camera": camera_entry(camera), "positive": asked.positive, "negative": asked.negative}
        for camera, asked in clicks
    ]
    write_json(path, rows)


def read_clicks(path: str | Path) -> list[Clicks]:
    """Views, each with its positive and negative pixels [x, y]; cameras as in `cameras.json`.

    Raises:
        UserError: one line about the first entry that is none.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: expected a list of views with clicks; see docs/view.md")
    return [_clicks(path, index, row) for index, row in enumerate(rows)]


def _clicks(path: str | Path, index: int, row: object) -> Clicks:
    try:
        camera = camera_of(row["camera"], index)
        positive, negative = (tuple(_point(value) for value in row[name]) for name in ("positive", "negative"))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:80]
        expected = f"camera ({LAYOUT}), positive and negative (lists of [x, y])"
        raise UserError(f"{path}: view {index}: {reason}; expected {expected}; mend the file") from None
    return camera, ViewPrompt(positive, negative)


def _point(value: object) -> Point:
    x, y = value
    if int(x) != x or int(y) != y:
        raise ValueError(f"point {value} is no pixel")
    return int(x), int(y)
