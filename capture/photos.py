"""The photos of a data set in the making: which there are, of which sizes, and where results go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arguments.convert_params import ConvertParams
from capture.ingest import VIDEO_ENDINGS
from scene.datasets.pictures import EXTENSIONS, few, image_size, natural_key, pictures_in
from utils.errors import UserError

INPUT, DISTORTED = "input", "distorted"
Size = tuple[int, int]  # width, height in px


@dataclass(frozen=True)
class Photos:
    """Photos below one folder."""

    folder: Path
    sizes: dict[str, Size]
    """Size of each photo in px by its relative name, `/` between folders, in natural order."""

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def names(self) -> list[str]:
        """Relative names."""
        return list(self.sizes)

    @property
    def groups(self) -> list[list[str]]:
        """Names of photos of one size, which share a lens; the largest group first."""
        groups: dict[Size, list[str]] = {}
        for name, size in self.sizes.items():
            groups.setdefault(size, []).append(name)
        return sorted(groups.values(), key=len, reverse=True)


@dataclass(frozen=True)
class Places:
    """Where a conversion reads and writes."""

    photos: Path
    """Folder of the photos; of a video, where its frames will be."""
    output: Path
    distorted: Path
    """Folder of the model of the photos as they were taken."""
    video: Path | None = None


def find_places(options: ConvertParams) -> Places:
    """What the flags -s, -o and --video mean together.

    Raises:
        UserError: nothing to convert, or several meanings.
    """
    source = Path(options.source_path).expanduser() if options.source_path else None
    video = Path(options.video).expanduser() if options.video else None
    if source is not None and source.is_file():
        if source.suffix.lower() not in VIDEO_ENDINGS or video is not None:
            raise UserError(f"{source} is a file; expected a folder of photos or one video; check -s")
        source, video = None, source
    output = Path(options.output).expanduser() if options.output else source
    if output is None:
        wanted = "the folder of the new data set; add -o FOLDER" if video else "photos; add -s FOLDER"
        raise UserError(f"nothing to convert to; expected {wanted}")
    if video is not None:
        if not video.is_file():
            raise UserError(f"{video}: no such file; expected a video; check --video")
        return Places(output / INPUT, output, output / DISTORTED, video)
    if source is None or not source.is_dir():
        raise UserError(f"{options.source_path or 'no folder'}: no such folder; expected one with photos; check -s")
    known = source if options.skip_matching else output
    return Places(photo_folder(source), output, known / DISTORTED)


def photo_folder(source: Path) -> Path:
    """`input/` of a folder, else the folder itself if it holds photos."""
    if (source / INPUT).is_dir():
        return source / INPUT
    if pictures_in(source):
        return source
    videos = sorted(path.name for path in source.iterdir() if path.suffix.lower() in VIDEO_ENDINGS)
    if len(videos) == 1:
        cure = f"to take frames of the video add --video {source / videos[0]}"
    elif videos:
        cure = f"for {len(videos)} videos of cameras that stand still add --mode rig; else name one with --video"
    elif pictures_in(source / "images"):
        cure = f"there are photos in images/, where the results go: rename it to input/ ({source / INPUT})"
    else:
        cure = f"put them into {source / INPUT}"
    raise UserError(f"{source}: no photos in it and no folder input/; {cure}")


def list_photos(folder: Path) -> Photos:
    """All photos in a folder, in folders of `input/` too; a file that is no picture is an error that names it."""
    found = folder.rglob("*") if folder.name == INPUT else folder.glob("*")
    files = {path.relative_to(folder): path for path in found if path.suffix.lower() in EXTENSIONS and path.is_file()}
    hidden = [name for name in files if any(part.startswith(".") for part in name.parts)]
    names = {name.as_posix(): path for name, path in files.items() if name not in hidden}
    if not names:
        raise UserError(f"{folder}: no photos; expected files {', '.join(EXTENSIONS)}; put them there")
    return Photos(folder, {name: image_size(names[name]) for name in sorted(names, key=natural_key)})


def check_masks(photos: Photos, folder: Path) -> dict[str, Path]:
    """Mask file of each photo; photos without one are whole.

    Args:
        folder: holds `<photo's name>.png`, with or without the photo's extension.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected masks <photo's name>.png; check --mask_folder")
    found = {name: mask_in(folder, name) for name in photos.names}
    masks = {name: path for name, path in found.items() if path is not None}
    if not masks:
        raise UserError(f"{folder}: no mask of any photo ({few(photos.names)}); expected <photo's name>.png")
    odd = [name for name, path in masks.items() if image_size(path) != photos.sizes[name]]
    if odd:
        raise UserError(f"{folder}: masks of {few(odd)} have other sizes than the photos; expected the same; make anew")
    return masks


def mask_in(folder: Path, name: str) -> Path | None:
    """The mask of a photo in a folder of masks."""
    stem = name.rpartition(".")[0] or name
    return next((path for path in (folder / f"{stem}.png", folder / f"{name}.png") if path.is_file()), None)


def missing_of(names: Sequence[str], photos: Photos) -> list[str]:
    """Names of a model that are not among the photos."""
    return sorted(set(names) - set(photos.sizes))
