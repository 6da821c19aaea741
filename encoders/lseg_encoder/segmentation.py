"""Class maps of rendered features: the nearest word of every pixel.

cd encoders/lseg_encoder
python -u segmentation.py --help
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from encoders.lseg_net.segmentation_scripts import segment_features
from utils.script import run

if __name__ == "__main__":
    run(lambda: segment_features("Class maps of rendered features: the nearest word of every pixel."))
