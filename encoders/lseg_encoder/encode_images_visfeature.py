"""As encode_images.py, but the features are unit vectors."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from encoders.lseg_net.feature3dgs_script import encode_images
from utils.script import run

if __name__ == "__main__":
    run(lambda: encode_images("LSeg's maps of a folder of pictures, as unit vectors.", normalise=True))
