"""Formats that PlayCanvas's `splat-transform` reads and writes, on a PLY in a temporary folder.

| ending | what | read | written |
|---|---|---|---|
| `.spz` | Niantic's packed Gaussians | yes | yes |
| `.sog` | PlayCanvas's pictures of Gaussians | yes | yes |
| `.ksplat` | mkkellogg's viewer | yes | no |
| `.html` | a page that shows the Gaussians, in one file | no | yes |
| `.glb` | glTF, `KHR_gaussian_splatting` | no | yes |
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from scene.formats import FORMATS, SplatArrays
from scene.formats._common import warn_left_out, without_non_finite
from scene.formats.ply import read_ply, write_ply
from utils.errors import UserError
from utils.files import atomic_path
from utils.node_tools import find_program, run_program

PROGRAM, PACKAGE = "splat-transform", "@playcanvas/splat-transform"
INSTALL = f"npm install -g {PACKAGE} (Node 22 or newer; for Node 18 to 21: {PACKAGE}@2.7.1)"


class ThroughProgram:
    """A format that is not ours to read: the program does it."""

    extension: str
    marker = b""
    is_read = is_written = True

    def read(self, path: Path) -> SplatArrays:
        """Reads a file."""
        if not self.is_read:
            raise UserError(f"{path}: {self.extension} can only be written; expected a splat file; give another one")
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file; expected a {self.extension}")
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "plain.ply"
            run_program([*_program(path), "-q", "-w", str(Path(path).resolve()), str(plain)], str(path))
            if not plain.is_file():
                raise UserError(f"{path}: {PROGRAM} made nothing of it; expected Gaussians; check the file")
            return read_ply(plain)

    def write(self, path: Path, arrays: SplatArrays) -> None:
        """Writes a file; without a GPU, too."""
        if not self.is_written:
            raise UserError(f"{path}: {self.extension} can only be read; expected another ending, e.g. .sog or .spz")
        program = _program(path)
        warn_left_out(path, arrays, has_rest=True)
        shown = SplatArrays(**{**arrays.named(), "semantic_feature": None, "motion_code": None})
        with tempfile.TemporaryDirectory() as folder, atomic_path(path) as temporary:
            plain = Path(folder) / "plain.ply"
            write_ply(plain, without_non_finite(path, shown))
            run_program([*program, "-q", "-w", "-g", "cpu", str(plain), str(temporary.resolve())], str(path))


@FORMATS.register("spz")
class Spz(ThroughProgram):
    """Niantic's format."""

    extension = ".spz"


@FORMATS.register("sog")
class Sog(ThroughProgram):
    """PlayCanvas's format."""

    extension = ".sog"


@FORMATS.register("ksplat")
class Ksplat(ThroughProgram):
    """Of mkkellogg's viewer."""

    extension = ".ksplat"
    is_written = False


@FORMATS.register("html")
class HtmlPage(ThroughProgram):
    """A viewer with the Gaussians inside."""

    extension = ".html"
    is_read = False


@FORMATS.register("glb")
class Gltf(ThroughProgram):
    """glTF in one file."""

    extension = ".glb"
    is_read = False


def _program(path: Path) -> list[str]:
    found = find_program(PROGRAM, PACKAGE)
    if found is None:
        raise UserError(f"{path}: needs the program {PROGRAM}, which was not found; run: {INSTALL}")
    return found
