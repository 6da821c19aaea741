"""Agreement of rendered label maps with the teacher's.

cd encoders/lseg_encoder
python -u segmentation_metric_2.py --help
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from encoders.lseg_net.segmentation_scripts import score_labels
from utils.script import run

if __name__ == "__main__":
    run(lambda: score_labels("Agreement of rendered label maps with the teacher's."))
