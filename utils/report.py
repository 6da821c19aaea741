"""A report as one HTML file that opens anywhere: text, tables and embedded pictures."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from utils.files import atomic_path

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 72rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
p { max-width: 46rem; white-space: pre-line; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; }
td.number { text-align: right; } .images { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; flex: 0 1 auto; } img { display: block; max-width: 100%; min-width: 12rem; border-radius: 4px; }
figcaption { font-size: .85rem; opacity: .75; margin-top: .25rem; }
""".strip()


@dataclass(frozen=True)
class Section:
    """One headed part of a report; every part of it but the title may be left out."""

    title: str
    text: str = ""
    table: Sequence[dict[str, Any]] | None = None  # one dict per row; the first row's keys are the columns
    images: Sequence[tuple[str, np.ndarray]] = field(default_factory=tuple)  # (caption, uint8 [H, W, 3] or [H, W])


def write_report(path: str | os.PathLike, title: str, sections: Sequence[Section]) -> None:
    """Write a self-contained HTML page, atomically."""
    name = html.escape(title)
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{name}</title>\n'
        f"<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
        + "\n".join(_section_html(section) for section in sections)
        + "\n</body>\n</html>\n"
    )
    with atomic_path(path) as temp:
        temp.write_text(page, encoding="utf-8")


def _section_html(section: Section) -> str:
    parts = [f"<section>\n<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.table:
        parts.append(_table_html(section.table))
    if section.images:
        figures = "\n".join(_figure_html(caption, image) for caption, image in section.images)
        parts.append(f'<div class="images">\n{figures}\n</div>')
    return "\n".join([*parts, "</section>"])


def _table_html(rows: Sequence[dict[str, Any]]) -> str:
    columns = list(rows[0])
    head = "".join(f"<th>{html.escape(str(column))}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(_cell_html(row.get(column)) for column in columns) + "</tr>" for row in rows)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _cell_html(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        text = f"{value:.5g}" if isinstance(value, float) else str(value)
        return f'<td class="number">{text}</td>'
    return f"<td>{html.escape('' if value is None else str(value))}</td>"


def _figure_html(caption: str, image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    text = html.escape(caption)
    size = f'width="{image.shape[1]}" height="{image.shape[0]}"'
    picture = f'<img alt="{text}" {size} style="height:auto" src="data:image/png;base64,{data}">'
    return f"<figure>{picture}<figcaption>{text}</figcaption></figure>"
