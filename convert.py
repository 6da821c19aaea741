"""Makes data sets of recordings.

    python convert.py --mode rig -s videos -o data/mine
    python convert.py --mode rig -s videos -o data/mine --baseline cam_00 cam_04 3.2 --plates empty_stage
    python convert.py --mode rig -s frames -o data/mine --calibration sparse/0
    python convert.py --mode rig --panoptic 161029_sports1 -o data/sports

docs/own_rig.md says what comes out, and what to do when something fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from arguments.cli import parse
from arguments.convert_params import ConvertParams
from capture.panoptic import panoptic_options
from capture.rig import convert_rig
from utils.errors import UserError
from utils.progress import set_quiet
from utils.script import run


def main(args: Sequence[str] | None = None) -> None:
    """Convert what the command line says; `args` stands in for it."""
    (options,) = parse("Make a data set of recordings.", ConvertParams, args=args)
    set_quiet(options.quiet)
    check(options)
    convert_rig(panoptic_options(options) if options.panoptic else options)


def check(options: ConvertParams) -> None:
    """Raise a `UserError` for options that say too little or contradict each other."""
    if not options.mode:
        raise UserError("no --mode; expected rig (synchronised cameras that stand still); add --mode rig")
    if not options.output or bool(options.source_path) == bool(options.panoptic):
        raise UserError("expected --output and either --source_path or --panoptic; give them")
    if (options.masks == "folder") != bool(options.mask_folder):
        raise UserError("--mask_folder and --masks folder belong together; give both or neither")
    if options.resize is not None and min(options.resize) < 16:
        raise UserError(f"--resize is {options.resize}; expected a width and a height of 16 px or more; change it")


if __name__ == "__main__":
    run(main)
