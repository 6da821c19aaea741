"""A user's own download of CMU Panoptic Studio: its HD cameras as recordings with a known calibration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from arguments.convert_params import ConvertParams
from utils.errors import UserError

TEST_CAMERAS = ("0", "10", "15", "30")  # of the published protocol
SIZE = (640, 360)  # a third of 1920 x 1080
FPS = 29.97


def panoptic_options(options: ConvertParams) -> ConvertParams:
    """The options of an ordinary conversion of such a download; what the user gave is kept."""
    root = Path(options.panoptic)
    calibrations = sorted(root.glob("calibration_*.json"))
    pictures = root / "hdImgs"
    if len(calibrations) != 1 or not pictures.is_dir():
        seen = f"{len(calibrations)} files calibration_*.json, {'a' if pictures.is_dir() else 'no'} folder hdImgs"
        raise UserError(
            f"{root}: {seen}; expected one file and hdImgs/00_00/...; extract the pictures of the HD videos"
        )
    found = {str(int(path.name.rpartition("_")[2])) for path in pictures.glob("00_*") if path.is_dir()}
    test = options.test_cams if options.test_cams is not None else tuple(n for n in TEST_CAMERAS if n in found)
    return replace(
        options,
        source_path=str(pictures),
        calibration=options.calibration or str(calibrations[0]),
        resize=options.resize or SIZE,
        test_cams=test,
        fps=FPS,
    )
