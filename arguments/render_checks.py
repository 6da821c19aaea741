"""Which options of render.py go together."""

from __future__ import annotations

from arguments.config_file import OptionError
from arguments.script_params import FollowParams, RenderParams

NO_EDIT = ("", "no editing")  # the second is the default of Feature 3DGS
MAX_MOMENTS = 100_000  # the files of a sequence have five digits


def check_render_options(options: RenderParams, follow: FollowParams) -> None:
    """Refuse numbers that make no picture, and ways of rendering that do not go together."""
    for name in ("num_views", "fps"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise OptionError(f"--{name} is {value}; expected at least 1; change it or leave it out")
    if options.time is not None and not 0 <= options.time <= 1:
        raise OptionError(f"--time is {options.time}; expected a moment from 0 to 1; change it")
    if options.time is not None and options.mode == "time":
        raise OptionError("--mode time lets time run and --time stops it; expected one of them; leave one out")
    if options.ply_sequence and (len(options.ply_sequence) > 1 or not 1 <= options.ply_sequence[0] <= MAX_MOMENTS):
        found = " ".join(map(str, options.ply_sequence))
        raise OptionError(f"--ply_sequence is {found}; expected one number from 1 to {MAX_MOMENTS}; change it")
    _check_follow(options, follow)


def _check_follow(options: RenderParams, follow: FollowParams) -> None:
    if follow.points and follow.prompt:
        raise OptionError("--points and --prompt are two ways to choose; expected one of them; leave one out")
    if follow.thetas and not (follow.points or follow.prompt):
        raise OptionError("--thetas without objects; expected --points or --prompt; add what is meant")
    if follow.is_asked and options.mode != "render":
        raise OptionError(f"--mode {options.mode} follows no objects; expected --mode render with them; leave one out")
    if follow.is_asked and options.edit_config not in NO_EDIT:
        raise OptionError("--edit_config changes what is to be followed; expected one of both; leave one out")
