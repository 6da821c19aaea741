from __future__ import annotations

from pathlib import Path

import pytest

from arguments.convert_params import ConvertParams
from capture.panoptic import panoptic_options
from utils.errors import UserError


def test_the_published_protocol_is_the_default(tmp_path):
    for node in (0, 3, 10, 15):
        (tmp_path / "hdImgs" / f"00_{node:02d}").mkdir(parents=True)
    (tmp_path / "calibration_dance.json").write_text("{}")
    options = panoptic_options(ConvertParams(panoptic=str(tmp_path)))
    assert options.test_cams == ("0", "10", "15") and options.resize == (640, 360)
    assert Path(options.calibration).name == "calibration_dance.json"
    assert panoptic_options(ConvertParams(panoptic=str(tmp_path), test_cams=("3",))).test_cams == ("3",)


def test_an_incomplete_download_is_said(tmp_path):
    with pytest.raises(UserError, match="0 files calibration_.*no folder hdImgs"):
        panoptic_options(ConvertParams(panoptic=str(tmp_path)))
