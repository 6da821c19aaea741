"""The command line: groups of options in, instances out, and one clear line when something is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import re
import sys
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tyro

from arguments.config_file import OptionError, load_config
from arguments.params import ModelParams

NUMBER = re.compile(r"-(\d|\.\d|inf|nan)")
OWN_FLAGS = ("-h", "--help", "-H", "--help_verbose")


def parse(
    description: str,
    *groups: type,
    args: Sequence[str] | None = None,
    prog: str | None = None,
    preset: Mapping[type, Mapping[str, Any]] | None = None,
) -> tuple[Any, ...]:
    """Parse the command line into one instance per group, in the given order.

    Args:
        description: one or two sentences for the top of `--help`.
        groups: dataclasses; each field is a flag, `bool` fields are switches (also `--no_flag`).
        args: words to parse; None = the words after the script's name.
        prog: name of the program in help and messages; None = the script's name.
        preset: other defaults, by group and field.

    Raises:
        OptionError: an unknown flag or a bad value, in one line.
    """
    preset = preset or {}
    defaults = [group(**preset[group]) if group in preset else _default_of(group) for group in groups]
    return _parse_onto(description, groups, defaults, args, prog)


def merge_saved(
    description: str, *groups: type, args: Sequence[str] | None = None, prog: str | None = None
) -> tuple[Any, ...]:
    """Like `parse`, for scripts that use a trained model: what was saved with it is the default of each flag.

    `groups` must contain `ModelParams`, whose `model_path` (`-m`) must be given. Anything on the command line wins.

    Raises:
        OptionError: as `parse`; also no `-m`, or no saved options in that folder.
    """
    first = parse(description, *groups, args=args, prog=prog)
    model_path = first[groups.index(ModelParams)].model_path
    if not model_path:
        raise OptionError("no model folder given; expected the one that train.py wrote; add -m FOLDER")
    return _parse_onto(description, groups, [load_config(model_path, group) for group in groups], args, prog)


def flag_names(*groups: type) -> dict[str, list[str]]:
    """Every spelling that sets each field, e.g. {"eval": ["--eval", "--no_eval"], "images": ["--images", "-i"]}."""
    names: dict[str, list[str]] = {}
    for group in groups:
        hints = typing.get_type_hints(group, include_extras=True)
        for field in dataclasses.fields(group):
            spellings = [f"--{field.name}", *_aliases(hints[field.name])]
            if _is_switch(hints[field.name]):
                spellings.append(f"--no_{field.name}")
            names[field.name] = spellings
    return names


def _aliases(hint: Any) -> list[str]:
    marks = getattr(hint, "__metadata__", ())
    return [alias for mark in marks for alias in getattr(mark, "aliases", None) or ()]


def _is_switch(hint: Any) -> bool:
    return (typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint) is bool


def _default_of(group: type) -> Any:
    """An instance of `group`, or `dataclasses.MISSING` when it has required fields."""
    required = [
        field
        for field in dataclasses.fields(group)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return dataclasses.MISSING if required else group()


def _parse_onto(
    description: str, groups: Sequence[type], defaults: Sequence[Any], args: Sequence[str] | None, prog: str | None
) -> tuple[Any, ...]:
    """Parse with the values of `defaults` (an instance per group, or MISSING) as default values."""
    words = list(sys.argv[1:] if args is None else args)
    prog = prog or Path(sys.argv[0]).name
    _check_flags(words, flag_names(*groups))
    _check_teacher_letter(words, flag_names(*groups))
    # tyro titles each part of the help by its field's name: ModelParams -> "model options".
    titles = [group.__name__.removesuffix("Params").lower() for group in groups]
    fields = [
        (title, group, dataclasses.field(default=default))
        for title, group, default in zip(titles, groups, defaults, strict=True)
    ]
    options = tyro.conf.OmitArgPrefixes[dataclasses.make_dataclass("Options", fields, frozen=True, kw_only=True)]
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            parsed = tyro.cli(options, prog=prog, description=description, args=words, use_underscores=True)
    except SystemExit as leave:
        if leave.code in (0, None):
            raise
        raise OptionError(f"{_first_message(shown.getvalue())}; see {prog} --help") from None
    return tuple(getattr(parsed, title) for title in titles)


def _check_flags(words: Sequence[str], names: dict[str, list[str]]) -> None:
    """Refuse unknown flags with the nearest known one, and single-dash words that argparse would have misread."""
    known = [flag for spellings in names.values() for flag in spellings] + list(OWN_FLAGS)
    for word in words:
        flag = word.partition("=")[0]
        plain = flag.replace("-", "_").replace("__", "--", 1) if flag.startswith("--") else flag
        if not flag.startswith("-") or flag == "-" or NUMBER.match(flag) or plain in known:
            continue
        if not flag.startswith("--") and len(flag) > 2:
            long = "-" + flag
            cure = f"write {long}" if long in known else _attached_value_cure(flag, known) or _nearest(long, known)
            raise OptionError(f"option {flag} has one dash; expected two dashes before a long name; {cure}")
        raise OptionError(f"unknown option {flag}; {_nearest(plain, known)}; --help lists all")


def _check_teacher_letter(words: Sequence[str], names: dict[str, list[str]]) -> None:
    """Refuse `-f` without a value where it was meant as in Multi-Layer 3DGS."""
    if "flatten_alpha" not in names or "-f" not in names.get("foundation_model", []):
        return
    for word, following in zip(words, [*words, "-"][1:], strict=True):
        if word == "-f" and following.startswith("-"):
            raise OptionError(
                "-f has no value; expected a teacher, e.g. -f classical; to make transparent images opaque "
                "(-f of Multi-Layer 3DGS) write --flatten_alpha"
            )


def _attached_value_cure(flag: str, known: Sequence[str]) -> str:
    """What to write instead of `-r8`; empty when `-resolutoin` is rather a misspelt long name."""
    return f"write {flag[:2]} {flag[2:]}" if flag[:2] in known and not flag[2:].isalpha() else ""


def _nearest(flag: str, known: Sequence[str]) -> str:
    folded = {name.lower(): name for name in known if not name.startswith("--no_") or flag.startswith("--no_")}
    near = difflib.get_close_matches(flag.lower(), folded, n=1, cutoff=0.0)
    return f"did you mean {folded[near[0]]}?" if near else "there are no options"


def _first_message(box: str) -> str:
    """tyro's message, a titled box with rules of dashes (or of line-drawing characters), as one line."""
    paragraphs: list[list[str]] = [[]]
    for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines():
        text = line.strip(" │")
        if text.startswith("╭") or set(text) <= set("─-╰╯"):  # the title's line, a rule, or an empty line
            paragraphs.append([])
        else:
            paragraphs[-1].append(text)
    blocks = [" ".join(paragraph) for paragraph in paragraphs if paragraph]
    has_title_line = "╭" not in box and len(blocks) > 1
    message = (blocks[has_title_line] if blocks else "wrong options").rstrip(".")
    if message.startswith("Unrecognized options: "):  # unknown flags were caught before; this is a stray word
        return f"unexpected word {message.partition(': ')[2]!r}; expected --name value (switches take no value)"
    if message.startswith("Missing from "):
        flags = re.findall(r"(?<!\S)--?\w+", message)
        return f"missing {' or '.join(dict.fromkeys(flags))}; expected a value for it"
    return message
