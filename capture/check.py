"""What the readers see in a folder, in words and pictures: the answer to "could not recognize scene type"."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from capture.ingest import VIDEO_ENDINGS
from capture.plans import draw_plan, world_plans
from scene.datasets import DATASETS, ReadOptions, read_scene
from scene.datasets.colmap import model_folders
from scene.datasets.colmap_model import count_images, read_cameras, read_images
from scene.datasets.pictures import EXTENSIONS, few, pictures_in
from scene.scene import scene_extent
from scene.scene_info import CameraInfo, DatasetError, PointCloud, SceneInfo
from utils.errors import UserError
from utils.image_io import write_png
from utils.progress import say, warn

DEFAULT_OUTPUT = "output/check"
LOOKED_AT_CAMERAS, LOOKED_AT_POINTS = 30, 2000
SEEN_SHARE = 0.05  # of the points in a usual picture below which cameras and points do not fit together
NARROW_DEG, WIDE_DEG = 5.0, 150.0  # angles of view outside which a lens is doubtful
HELD_OUT = 8


def explain(folder: Path, output: Path) -> None:
    """Say what every reader sees in a folder, check it, and draw `<folder>_top.png` and `<folder>_side.png`.

    Raises:
        UserError: no reader can read it; everything that is known about it has been said before.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a data set; check the path")
    say(f"{folder}: {contents(folder)}")
    if not say_readers(folder):
        for hint in hints(folder):
            say(f"hint: {hint}")
        raise UserError(f"{folder}: no reader knows it; see what each looked for above, and docs/datasets.md")
    try:
        info = read_scene(folder)
    except UserError:
        for hint in (*name_hints(folder), *model_hints(folder)):
            say(f"hint: {hint}")
        raise
    for line in facts(info):
        say(line)
    for problem in (*info.warnings, *problems(info)):
        warn(problem)
    for path in draw(info, output):
        say(f"written: {path}")
    source, model = shlex.quote(str(folder)), shlex.quote(f"output/{folder.resolve().name}")
    say(f"next: python train.py -s {source} -m {model} --eval")


def say_readers(folder: Path) -> list[str]:
    """One line for each reader; returns the names of those that know the folder, the one in use first."""
    DATASETS.discover("scene.datasets")
    known = []
    for name, reader in DATASETS.items():
        reason = reader().missing(folder)
        if reason is None:
            known.append(name)
        found = "is its format" + (f", but {known[0]} comes first" if len(known) > 1 else "")
        say(f"  {name:13}{found if reason is None else reason}")
    return known


def contents(folder: Path) -> str:
    """What lies in a folder, in words."""
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    pictures = len(pictures_in(folder))
    videos = sum(path.suffix.lower() in VIDEO_ENDINGS for path in entries)
    folders = sorted(f"{path.name}/" for path in entries if path.is_dir())
    others = sorted(p.name for p in entries if p.is_file() and p.suffix.lower() not in (*EXTENSIONS, *VIDEO_ENDINGS))
    counts = [f"{count} {kind}" for count, kind in ((pictures, "pictures"), (videos, "videos")) if count]
    names = [few(group) for group in (folders, others) if group]
    return ", ".join([*counts, *names]) or "empty"


def hints(folder: Path) -> list[str]:
    """What may be meant by a folder that no reader knows."""
    found = []
    places = [place for place in (folder / "input", folder, folder / "images") if pictures_in(place)]
    if places:
        words = f"-s {folder}" if places[0].name == "input" else f"-s {places[0]} -o NEW_FOLDER"
        found.append(f"photos without cameras in {places[0]}; find them: python convert.py {words}")
    videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_ENDINGS)
    if len(videos) == 1:
        found.append(f"a video; make a data set of it: python convert.py --video {videos[0]} -o NEW_FOLDER")
    elif videos:
        found.append(f"{len(videos)} videos; of cameras that stand still: python convert.py --mode rig -s {folder}")
    if model_folders(folder / "distorted"):
        found.append(f"a model in distorted/; undistort it: python convert.py -s {folder} --skip_matching")
    if any((folder / f"images.{end}").is_file() for end in ("bin", "txt")):
        found.append(
            f"a COLMAP model itself; expected DATA/sparse/0/ beside DATA/images/; here DATA = {folder.parent}?"
        )
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_known(path)]
    above = [path for path in (folder.resolve().parent,) if _is_known(path)]
    found += [f"{path} is a data set; give that folder" for path in (*below, *above)]
    archives = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in (".zip", ".tar", ".gz", ".7z"))
    found += [f"{few(archives)}: unpack it first"] if archives else []
    return found or ["photos go into input/, then: python convert.py -s " + str(folder)]


def _is_known(folder: Path) -> bool:
    return any(reader().missing(folder) is None for _, reader in DATASETS.items())


def name_hints(folder: Path) -> list[str]:
    """Where the images of a COLMAP model are, if not under their names in images/."""
    try:
        models = model_folders(folder)
        names = {image.name.replace("\\", "/") for image in read_images(models[0])} if models else set()
    except DatasetError:
        return []
    found = []
    for place in (p for p in sorted(folder.iterdir()) if p.is_dir() and p.name != "sparse" and names):
        files = {p.relative_to(place).as_posix() for p in place.rglob("*") if p.suffix.lower() in EXTENSIONS}
        if not files:
            continue
        if names <= files:
            found.append(f"all {len(names)} images are in {place.name}/; add -i {place.name}")
            continue
        found += [f"{place.name}/ has {name}, the model has {wanted}: {what}"
                  for what, name, wanted in _alike(sorted(files - names), names - files)]  # fmt: skip
    return found


def _alike(files: Sequence[str], wanted: set[str]) -> list[tuple[str, str, str]]:
    """(what differs, a file, a name of the model) for the first file that is nearly called like a wanted one."""
    keys = {
        "only the case differs": str.lower,
        "only the ending differs": lambda name: name.rpartition(".")[0],
        "only the folder differs": lambda name: name.rpartition("/")[2],
    }
    for what, key in keys.items():
        names = {key(name): name for name in wanted}
        for file in files:
            if key(file) in names:
                return [(what, file, names[key(file)])]
    return []


def model_hints(folder: Path) -> list[str]:
    """What is in the COLMAP models of a folder that cannot be read."""
    found = []
    for model in model_folders(folder):
        try:
            lenses = sorted({camera.model for camera in read_cameras(model).values()})
            found.append(f"{model.relative_to(folder)}: {count_images(model)} images, {', '.join(lenses)}")
        except UserError as error:
            found.append(str(error))
    return found


def facts(info: SceneInfo) -> list[str]:
    """What was read."""
    cameras = (*info.train, *info.test)
    sizes = Counter(f"{camera.width}x{camera.height}" for camera in cameras).most_common()
    angles = [view_angles_deg(camera) for camera in cameras]
    wide, high = (np.median([angle[axis] for angle in angles]) for axis in (0, 1))
    lines = [
        f"reader: {info.reader}{info.details and f' ({info.details})'}",
        f"images: {len(cameras)}; {', '.join(f'{count} of {size} px' for size, count in sizes[:4])}",
        f"held out with --eval: {held_out(info)}",
        f"angle of view: {wide:.0f} x {high:.0f} degrees{distortion_note(cameras)}",
        f"points: {len(info.points) if info.points is not None else 'none, the training starts at random'}",
        f"extent of the cameras: {scene_extent(info):.4g} world units",
    ]
    masks = sum(camera.mask_path is not None for camera in cameras)
    lines += [f"masks: for {masks} of {len(cameras)} images"] if masks else []
    lines += [f"moments: {info.num_times}, so things move"] if info.is_dynamic else []
    return lines


def held_out(info: SceneInfo) -> str:
    """How many images --eval holds out, or why that does not work."""
    try:
        return f"{len(read_scene(info.root, ReadOptions(eval=True, llffhold=HELD_OUT)).test)} images"
    except UserError as error:
        return str(error)


def view_angles_deg(camera: CameraInfo) -> tuple[float, float]:
    """Horizontal and vertical angle of view of a pinhole camera."""
    wide, high = (np.degrees(np.arctan(edge / focal) + np.arctan((side - edge) / focal)) for side, edge, focal in (
        (camera.width, camera.cx, camera.fx), (camera.height, camera.cy, camera.fy)))  # fmt: skip
    return float(wide), float(high)


def distortion_note(cameras: Sequence[CameraInfo]) -> str:
    """What is to be known about distorted lenses."""
    if not any(camera.distortion or camera.fisheye for camera in cameras):
        return ", no distortion"
    return ", distorted: undistorted on loading here, but other programs refuse it (convert.py --skip_matching)"


def problems(info: SceneInfo) -> list[str]:
    """Usual mistakes that reading does not show."""
    cameras, found = (*info.train, *info.test), []
    if len(cameras) < 20:
        found.append(f"only {len(cameras)} images; 50 and more around the scene are usual")
    if info.points is not None and 0 < len(info.points) < 100:
        found.append(f"only {len(info.points)} points; the reconstruction is poor, take more photos that overlap")
    odd = [c.image_name for c in cameras if not all(NARROW_DEG < angle < WIDE_DEG for angle in view_angles_deg(c))]
    if odd:
        found.append(f"{len(odd)} lenses see less than {NARROW_DEG:g} or more than {WIDE_DEG:g} degrees ({few(odd)})")
    off = [c.image_name for c in cameras if not (0 < c.cx < c.width and 0 < c.cy < c.height)]
    if off:
        found.append(f"the middle of the lens lies outside {len(off)} images ({few(off)}); cropped or rotated?")
    if info.points is not None and len(info.points) and (share := seen_share(cameras, info.points)) < SEEN_SHARE:
        found.append(
            f"a usual image sees {share:.0%} of the points; axes or poses are wrong, or points and cameras differ"
        )
    return found


def seen_share(cameras: Sequence[CameraInfo], cloud: PointCloud) -> float:
    """Median over cameras of the share of points inside the picture and in front of the camera."""
    cameras = [cameras[i] for i in _spread(len(cameras), LOOKED_AT_CAMERAS)]
    points = cloud.positions[_spread(len(cloud), LOOKED_AT_POINTS)].astype(np.float64)
    shares = []
    for camera in cameras:
        x, y, z = camera.world_to_camera[:3, :3] @ points.T + camera.world_to_camera[:3, 3:]
        depth = np.where(z > 1e-9, z, np.inf)
        column, row = camera.fx * x / depth + camera.cx, camera.fy * y / depth + camera.cy
        inside = (z > 1e-9) & (column > 0) & (column < camera.width) & (row > 0) & (row < camera.height)
        shares.append(inside.mean())
    return float(np.median(shares))


def _spread(total: int, count: int) -> np.ndarray:
    return np.unique(np.linspace(0, total - 1, min(total, count)).round().astype(int))


def draw(info: SceneInfo, output: Path) -> list[Path]:
    """The cameras and points from above and from the side."""
    name, paths = info.root.resolve().name, []
    for side, plan in world_plans((*info.train, *info.test), info.points).items():
        paths.append(output / f"{name}_{side}.png")
        write_png(paths[-1], draw_plan(plan, info.train, info.points, info.test))
    return paths
