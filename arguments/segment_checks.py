"""Which options of segment.py go together."""

from __future__ import annotations

from pathlib import Path

from arguments.config_file import OptionError
from arguments.script_params import SegmentParams


def check_segment_options(options: SegmentParams) -> None:
    """Refuse a run without a prompt or with prompts that do not go together, and a name that leaves the folder."""
    pointed, labelled = bool(options.point or options.box), options.label_src is not None
    kinds = [pointed, bool(options.clicks), bool(options.text), labelled, options.everything]
    if sum(kinds) > 1:
        raise OptionError(
            "several kinds of prompts; expected --point/--box, --clicks, --text, --label_src or --everything: use one"
        )
    if not any(kinds):
        raise OptionError(
            "no point given, no box and no text; expected what to select; add --point X Y, or --text WORD"
        )
    words = [value for value in options.negative if isinstance(value, str)]
    if options.negative and not (pointed or options.text) or words and not options.text:
        raise OptionError("--negative does not fit: words oppose --text, pixels X Y oppose --point; use it with those")
    if options.text and len(words) < len(options.negative):
        raise OptionError("--negative has pixels, --text wants words; expected --negative WORD; change it")
    if options.sam and (not pointed or len(options.box) > 1):
        raise OptionError("--sam wants points, one box, or both; expected --point X Y or --box X1 Y1 X2 Y2; add one")
    if options.action != "mask" and (labelled or options.everything):
        raise OptionError(f"--action {options.action} needs one selection; expected --point, --box or --text; use one")
    if not all(0 <= value <= 1 for value in options.color):
        raise OptionError(f"--color is {options.color}; expected three numbers in 0..1; change it")
    if options.max_tracks < 1 or options.num_plys < 1:
        seen = f"--max_tracks is {options.max_tracks}, --num_plys {options.num_plys}"
        raise OptionError(f"{seen}; expected at least 1; change them")
    if options.name in ("", "..") or Path(options.name).name != options.name:
        raise OptionError(f"--name is {options.name!r}; expected a plain folder name, e.g. fox")
