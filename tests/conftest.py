"""Makes the project importable here and in programs that tests start, and keeps tests to two threads."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
PATHS = [ROOT] if importlib.util.find_spec("ndraster") else [ROOT, ROOT / "submodules" / "ndraster"]

sys.path[:0] = [str(path) for path in PATHS if str(path) not in sys.path]
os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, PATHS), *filter(None, [os.environ.get("PYTHONPATH")])])
torch.set_num_threads(2)
