"""A COLMAP program of any version for tests: it keeps its command lines, and works through pycolmap."""

from __future__ import annotations

import json
import sys
from pathlib import Path

SCRIPT = """#!{python}
import json, sys
from pathlib import Path

words = sys.argv[1:]
log = Path(__file__).with_suffix(".jsonl")
log.write_text((log.read_text() if log.exists() else "") + json.dumps(words) + "\\n")
if words == ["help"]:
    print("COLMAP {version} -- Structure-from-Motion and Multi-View Stereo")
    print("(Commit abcdef on 2026-01-01 {cuda} CUDA)")
    sys.exit(0)
known = {known!r}
command, options = words[0], dict(zip(words[1::2], words[2::2]))
for name in options:
    if name.endswith("use_gpu") and name not in known:
        print(f"Failed to parse options - unrecognised option '{{name}}'.")
        sys.exit(1)
if command == {failing!r}:
    print("first line"); print("it went wrong"); sys.exit(7)
if not {works!r}:
    sys.exit(0)
import pycolmap
pycolmap.logging.minloglevel = int(pycolmap.logging.Level.ERROR)
if command == "feature_extractor":
    names = Path(options["--image_list_path"]).read_text().split("\\n")[:-1]
    reader = pycolmap.ImageReaderOptions(camera_model=options["--ImageReader.camera_model"])
    wanted = pycolmap.FeatureExtractionOptions()
    wanted.sift.max_num_features = int(options["--SiftExtraction.max_num_features"])
    pycolmap.extract_features(options["--database_path"], options["--image_path"], names,
                              pycolmap.CameraMode.SINGLE, reader, wanted)
elif command == "exhaustive_matcher":
    pycolmap.match_exhaustive(options["--database_path"])
elif command == "matches_importer":
    pairing = pycolmap.ImportedPairingOptions(match_list_path=options["--match_list_path"])
    pycolmap.match_image_pairs(options["--database_path"], pairing_options=pairing)
elif command == "mapper":
    wanted = pycolmap.IncrementalPipelineOptions()
    wanted.min_model_size = int(options["--Mapper.min_model_size"])
    pycolmap.incremental_mapping(options["--database_path"], options["--image_path"], options["--output_path"], wanted)
elif command == "image_undistorter":
    pycolmap.undistort_images(options["--output_path"], options["--input_path"], options["--image_path"])
"""
NEW = ("--FeatureExtraction.use_gpu", "--FeatureMatching.use_gpu")
OLD = ("--SiftExtraction.use_gpu", "--SiftMatching.use_gpu")


def write_program(path: Path, version: str, cuda: bool = True, works: bool = False, failing: str = "") -> Path:
    """An executable that knows the option names of its version, and may fail at a command."""
    is_new = tuple(map(int, version.split(".")[:2])) >= (3, 13)
    text = SCRIPT.format(python=sys.executable, version=version, cuda="with" if cuda else "without",
                         known=NEW if is_new else OLD, works=works, failing=failing)  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def command_lines(program: Path) -> list[list[str]]:
    """All command lines that it was started with, without `help`."""
    lines = program.with_suffix(".jsonl").read_text().splitlines()
    return [words for words in map(json.loads, lines) if words != ["help"]]
