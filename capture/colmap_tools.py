"""Structure from motion, step by step, by pycolmap or by a COLMAP program."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from capture.calibrate import SEED, import_pycolmap
from utils.errors import UserError
from utils.progress import Progress

GLOBAL_TOLERANCE = 1e-6  # of bundle adjustment over all photos
MIN_MODEL_PHOTOS = 3
JPEG_QUALITY = 95
NEW_OPTION_NAMES = (3, 13)  # version of COLMAP from which --FeatureExtraction.use_gpu replaces --SiftExtraction.use_gpu
NO_CANDIDATES = "finding cameras needs pycolmap, which is missing; run: pip install pycolmap, or give a COLMAP program "
ERROR_LINES = 3  # of a program's output that are shown
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Workspace:
    """What the steps work on."""

    database: Path
    """File of points and matches; its folder takes lists."""
    photos: Path
    groups: Sequence[Sequence[str]]
    """Names of photos that share a lens."""
    camera: str
    num_features: int
    masks: Path | None = None
    """Folder of `<name>.png`, 0 = no points there."""

    @property
    def count(self) -> int:
        """Number of photos."""
        return sum(map(len, self.groups))

    def write_list(self, name: str, lines: Sequence[str]) -> Path:
        """A list of names beside the database."""
        path = self.database.with_name(name)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def write_pairs(self, pairs: Pairs) -> Path:
        """A list of pairs beside the database; COLMAP cannot read names with blanks in it."""
        blank = next((name for pair in pairs for name in pair if " " in name), None)
        if blank:
            raise UserError(f"{blank}: a blank in a name; expected none here; rename it, or add --matcher exhaustive")
        return self.write_list("pairs.txt", [f"{first} {second}" for first, second in pairs])


class SfmTool(Protocol):
    """Who does the work."""

    name: str

    def extract(self, work: Workspace) -> None:
        """Find points in all photos."""

    def match(self, work: Workspace, pairs: Pairs | None) -> None:
        """Compare these pairs of photos, or all if None, and verify what was found."""

    def map(self, work: Workspace, models: Path) -> None:
        """Write models `0`, `1`, ... of cameras and points into a new folder."""

    def undistort(self, photos: Path, model: Path, folder: Path) -> None:
        """Write pinhole photos to `folder/images` and their model to `folder/sparse`."""

    def colour(self, photos: Path, model: Path) -> None:
        """Give the points of a model the colours of the photos."""


class Pycolmap:
    """The Python package, which needs no installation by the system."""

    def __init__(self, use_gpu: bool) -> None:
        self.module = import_pycolmap()
        has_gpu = use_gpu and self.module.has_cuda
        self.device = self.module.Device.auto if has_gpu else self.module.Device.cpu
        self.name = f"pycolmap {self.module.__version__}, {'GPU' if has_gpu else 'CPU'}"

    def extract(self, work: Workspace) -> None:
        """See `SfmTool`."""
        options = self.module.FeatureExtractionOptions()
        options.sift.max_num_features = work.num_features
        reader = self.module.ImageReaderOptions(camera_model=work.camera, mask_path=work.masks or "")
        for names in work.groups:
            self.module.extract_features(
                work.database, work.photos, list(names), self.module.CameraMode.SINGLE, reader, options, self.device
            )

    def match(self, work: Workspace, pairs: Pairs | None) -> None:
        """See `SfmTool`."""
        self.module.set_random_seed(SEED)
        if pairs is None:
            self.module.match_exhaustive(work.database, device=self.device)
            return
        listed = work.write_pairs(pairs)
        pairing = self.module.ImportedPairingOptions(match_list_path=listed)
        self.module.match_image_pairs(work.database, pairing_options=pairing, device=self.device)

    def map(self, work: Workspace, models: Path) -> None:
        """See `SfmTool`."""
        options = self.module.IncrementalPipelineOptions()
        options.min_model_size, options.random_seed = MIN_MODEL_PHOTOS, SEED
        options.ba_global_function_tolerance = GLOBAL_TOLERANCE
        models.mkdir(parents=True)
        with Progress(work.count) as progress:
            step = _counter(progress, work.count)
            self.module.incremental_mapping(work.database, work.photos, models, options, next_image_callback=step)

    def undistort(self, photos: Path, model: Path, folder: Path) -> None:
        """See `SfmTool`."""
        self.module.undistort_images(folder, model, photos, jpeg_quality=JPEG_QUALITY)

    def colour(self, photos: Path, model: Path) -> None:
        """See `SfmTool`."""
        reconstruction = self.module.Reconstruction(model)
        reconstruction.extract_colors_for_all_images(photos)
        reconstruction.write(model)


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    """A function that moves the progress on at every call; several models may use a photo again."""

    def step() -> None:
        progress.update(min(progress.step + 1, total))

    return step


class ColmapProgram:
    """A COLMAP program, started with lists of words.

    Args:
        executable: its name or path.
        use_gpu: whether it may use the GPU, if it was built so.
    """

    def __init__(self, executable: str, use_gpu: bool) -> None:
        self.executable = executable
        self.version, has_cuda = describe_program(executable)
        self.uses_gpu = use_gpu and has_cuda
        self.name = f"COLMAP {'.'.join(map(str, self.version))}, {'GPU' if self.uses_gpu else 'CPU'}"

    def extract(self, work: Workspace) -> None:
        """See `SfmTool`."""
        words = ["--ImageReader.single_camera", "1", "--ImageReader.camera_model", work.camera]
        words += ["--ImageReader.mask_path", str(work.masks)] if work.masks else []
        words += ["--SiftExtraction.max_num_features", str(work.num_features), *self._gpu("Extraction")]
        for names in work.groups:
            listed = work.write_list("photos.txt", names)
            self._run("feature_extractor", *self._places(work), "--image_list_path", str(listed), *words)

    def match(self, work: Workspace, pairs: Pairs | None) -> None:
        """See `SfmTool`."""
        words = ["--database_path", str(work.database), *self._gpu("Matching")]
        if pairs is None:
            self._run("exhaustive_matcher", *words)
            return
        listed = work.write_pairs(pairs)
        self._run("matches_importer", *words, "--match_list_path", str(listed), "--match_type", "pairs")

    def map(self, work: Workspace, models: Path) -> None:
        """See `SfmTool`."""
        models.mkdir(parents=True)
        words = ["--output_path", str(models), "--Mapper.ba_global_function_tolerance", f"{GLOBAL_TOLERANCE:f}"]
        self._run("mapper", *self._places(work), *words, "--Mapper.min_model_size", str(MIN_MODEL_PHOTOS))

    def undistort(self, photos: Path, model: Path, folder: Path) -> None:
        """See `SfmTool`."""
        folder.mkdir(parents=True)
        words = ["--input_path", str(model), "--output_path", str(folder), "--output_type", "COLMAP"]
        self._run("image_undistorter", "--image_path", str(photos), *words)

    def colour(self, photos: Path, model: Path) -> None:
        """See `SfmTool`."""
        self._run(
            "color_extractor", "--image_path", str(photos), "--input_path", str(model), "--output_path", str(model)
        )

    def _gpu(self, step: str) -> list[str]:
        family = "Feature" if self.version >= NEW_OPTION_NAMES else "Sift"
        return [f"--{family}{step}.use_gpu", str(int(self.uses_gpu))]

    def _places(self, work: Workspace) -> list[str]:
        return ["--database_path", str(work.database), "--image_path", str(work.photos)]

    def _run(self, command: str, *words: str) -> None:
        run_program([self.executable, command, *words])


def run_program(words: Sequence[str]) -> str:
    """Run a program to its end; returns its output.

    Raises:
        UserError: it cannot be started or fails; with the last lines that it wrote.
    """
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as error:
        raise UserError(f"{words[0]} cannot be started ({error.strerror}); check --colmap_executable") from None
    text = done.stdout.decode("utf-8", errors="replace")
    if done.returncode != 0:
        last = " | ".join([line.strip() for line in text.splitlines() if line.strip()][-ERROR_LINES:])
        raise UserError(f"{' '.join(words[:2])} failed with code {done.returncode}: {last or 'it wrote nothing'}")
    return text


def describe_program(executable: str) -> tuple[tuple[int, ...], bool]:
    """(version, whether it was built with CUDA) of a COLMAP program, from the head of its help."""
    text = run_program([executable, "help"])
    found = re.search(r"COLMAP (\d+)\.(\d+)", text)
    if found is None:
        raise UserError(f"{executable} does not introduce itself as COLMAP; expected its program; check the path")
    return (int(found[1]), int(found[2])), "with CUDA" in text


def choose_tool(executable: str, use_gpu: bool) -> SfmTool:
    """The named program; else one on the PATH if it brings the GPU into play; else pycolmap; else any program."""
    if executable:
        return ColmapProgram(executable, use_gpu)
    found = shutil.which("colmap")
    if found and use_gpu and describe_program(found)[1]:
        return ColmapProgram(found, use_gpu)
    try:
        return Pycolmap(use_gpu)
    except UserError:
        if found:
            return ColmapProgram(found, use_gpu)
        raise UserError(f"{NO_CANDIDATES}with --colmap_executable") from None
