"""The 150 words of ADE20K as LSeg is asked for them, and lists of words from users."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.errors import UserError
from utils.files import read_json

_WORDS = """
    wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door,
    table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair,
    seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest, counter,
    sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool, pillow, screen,
    stairway, river, bridge, bookcase, blind, coffee, toilet, flower, book, hill, bench, countertop, stove, palm,
    kitchen, computer, swivel, boat, bar, arcade, hovel, bus, towel, light, truck, tower, chandelier, awning,
    streetlight, booth, television, airplane, dirt, apparel, pole, land, bannister, escalator, ottoman, bottle, buffet,
    poster, stage, van, ship, fountain, conveyer, canopy, washer, plaything, swimming, stool, barrel, basket, waterfall,
    tent, bag, minibike, cradle, oven, ball, food, step, tank, trade, microwave, pot, animal, bicycle, lake, dishwasher,
    screen, blanket, sculpture, hood, sconce, vase, traffic, tray, ashcan, fan, pier, crt, plate, monitor, bulletin,
    shower, radiator, glass, clock, flag
"""

# Only the first word of each class, as all published figures were made; "screen" is there twice, and the first wins.
ADE20K_PROMPTS: tuple[str, ...] = tuple(_WORDS.replace("\n", " ").replace(" ", "").split(","))

DEFAULT_NAMES = ("", "default", "ade20k")


def read_label_set(text_or_path: str) -> tuple[str, ...]:
    """The words to tell apart, in the order of their ids.

    Args:
        text_or_path: `car,tree,road`; or a file with one word per line or a JSON list of words; or nothing (also
            `default`, `ade20k`): the words of ADE20K.

    Raises:
        UserError: a word is empty or there twice.
    """
    if text_or_path.strip().lower() in DEFAULT_NAMES:
        return ADE20K_PROMPTS
    path = Path(text_or_path)
    is_file = len(text_or_path) < 256 and path.is_file()
    words = _words_in(path) if is_file else text_or_path.split(",")
    labels = tuple(word.strip() for word in words)
    if not labels or not all(labels) or len(set(labels)) < len(labels):
        raise UserError(
            f"the label set '{text_or_path}' is {', '.join(labels) or 'empty'}; expected different words, separated by "
            "commas, or a file with one per line; mend it"
        )
    return labels


def _words_in(path: Path) -> Sequence[str]:
    if path.suffix != ".json":
        return path.read_text(encoding="utf-8").strip().splitlines()
    words = read_json(path)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UserError(f"{path} is no list of words; expected a JSON list of strings; mend it")
    return words
