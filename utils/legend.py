"""A picture that says which colour is what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROW_PX, SWATCH_PX, MARGIN_PX, FONT_PX = 22, 14, 6, 14
ROWS = 30  # entries one above the other, then another column


def legend_picture(names: Sequence[str], colors: np.ndarray) -> np.ndarray:
    """Swatches with their names, uint8 [H, W, 3] on white.

    Args:
        names: K names.
        colors: uint8 [K, 3].
    """
    font = ImageFont.load_default(FONT_PX)
    text_px = max((int(font.getlength(name)) for name in names), default=0)
    column_px = 3 * MARGIN_PX + SWATCH_PX + text_px
    size = (column_px * max(1, -(-len(names) // ROWS)), ROW_PX * min(len(names), ROWS) + 2 * MARGIN_PX)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for index, (name, color) in enumerate(zip(names, colors, strict=True)):
        x, y = MARGIN_PX + column_px * (index // ROWS), MARGIN_PX + ROW_PX * (index % ROWS)
        top = y + (ROW_PX - SWATCH_PX) // 2
        draw.rectangle((x, top, x + SWATCH_PX - 1, top + SWATCH_PX - 1), fill=tuple(map(int, color)))
        draw.text((x + SWATCH_PX + MARGIN_PX, y + ROW_PX // 2), name, fill="black", font=font, anchor="lm")
    return np.asarray(image)
