"""Where the cameras of a static rig stand and what their lenses do: structure from motion with pycolmap.

The cameras do not move, so the points of several moments of one camera count as one picture: matches are made between
pictures of the same moment, and moving things add as much to the calibration as still ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from capture.features import Features, match, merged_places
from scene.scene_info import CameraInfo
from utils.errors import UserError
from utils.image_io import write_png
from utils.progress import Progress

SEED = 1  # of RANSAC, so that equal recordings give equal cameras
MIN_POINTS = 20  # that a camera must see after all outliers are gone
OUTLIERS_PX = (3.0, 2.0)  # observations farther off are dropped, round by round
MIN_ANGLE_DEG = 2.0  # between the sights of a point
LENSES = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")  # coefficients as OpenCV counts them

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Points of all cameras at all moments looked at, and which of them are the same."""

    features: Sequence[Sequence[Features]]  # [C][moments]
    matches: Mapping[Pair, Sequence[np.ndarray]]  # (a, b) with a < b -> per moment [M, 2] indices


@dataclass(frozen=True)
class Calibration:
    """The result, for the report too."""

    cameras: tuple[CameraInfo, ...]
    errors_px: tuple[float, ...] = ()
    """Mean reprojection error of each camera; empty when the calibration was given."""
    num_points: tuple[int, ...] = ()
    """Points that each camera saw."""
    source: str = "structure from motion"


def find_correspondences(features: Sequence[Sequence[Features]]) -> Correspondences:
    """Match every camera with every other one, moment by moment."""
    pairs, matches = list(combinations(range(len(features)), 2)), {}
    with Progress(len(pairs)) as progress:
        for number, (a, b) in enumerate(pairs, start=1):
            matches[a, b] = [match(*both) for both in zip(features[a], features[b], strict=True)]
            progress.update(number)
    return Correspondences(features, matches)


def calibrate(
    names: Sequence[str], images: Sequence[np.ndarray], found: Correspondences, lens: str = "SIMPLE_RADIAL"
) -> Calibration:
    """Poses and lenses of all cameras.

    Args:
        names: of the C cameras.
        images: one picture of each, uint8 [H, W, 3]; only size and colours are used.
        lens: COLMAP's camera model, SIMPLE_RADIAL or OPENCV; every camera has its own.

    Raises:
        UserError: pycolmap is missing, or not all cameras could be placed.
    """
    pycolmap = import_pycolmap()
    with tempfile.TemporaryDirectory() as folder:
        pictures, database = Path(folder) / "images", Path(folder) / "database.db"
        for index, image in enumerate(images):
            write_png(pictures / _file_name(index), image)
        fill_database(pycolmap, database, pictures, found, lens)
        models = _map(pycolmap, database, pictures, Path(folder))
        best = max(models, key=lambda model: model.num_reg_images(), default=None)
        if best is not None:
            refine(pycolmap, best)
        check_registered(names, best, found)
        return _as_calibration(names, best)


def import_pycolmap():
    """The module, without its chatter."""
    try:
        import pycolmap
    except ImportError:
        raise UserError(
            "finding cameras needs pycolmap, which is missing; run: pip install pycolmap, or give --calibration"
        ) from None
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.ERROR)
    return pycolmap


def fill_database(pycolmap, path: Path, pictures: Path, found: Correspondences, lens: str) -> None:
    """A COLMAP database with our points and matches, the matches verified."""
    database = pycolmap.Database.open(path)
    database.close()
    reader = pycolmap.ImageReaderOptions(camera_model=lens)
    pycolmap.import_images(path, pictures, pycolmap.CameraMode.PER_IMAGE, options=reader)
    database, pairs, tracked = pycolmap.Database.open(path), [], merged(found)
    ids = [database.read_image_with_name(_file_name(index)).image_id for index in range(len(found.features))]
    for image_id, pixels in zip(ids, tracked.pixels, strict=True):
        database.write_keypoints(image_id, pixels.astype(np.float32))
    for (a, b), rows in tracked.matches.items():
        if len(rows):
            database.write_matches(ids[a], ids[b], rows.astype(np.uint32))
            pairs.append(f"{_file_name(a)} {_file_name(b)}")
    database.close()
    listed = path.with_name("pairs.txt")
    listed.write_text("\n".join(pairs), encoding="utf-8")
    pycolmap.set_random_seed(SEED)
    pycolmap.verify_matches(path, listed)


@dataclass(frozen=True, eq=False)
class Places:
    """Matched places of all moments of each camera as points of one picture."""

    pixels: Sequence[np.ndarray]  # [C] of [P, 2] px
    matches: Mapping[Pair, np.ndarray]  # (a, b) -> [M, 2]


def merged(found: Correspondences) -> Places:
    """The matched points, those of one place and moment as one, so that tracks go through many cameras."""
    pixels, lookup = [], []
    for camera, moments in enumerate(found.features):
        parts, tables, start = [np.zeros((0, 2))], [], 0
        for moment, features in enumerate(moments):
            sides = [(pair.index(camera), rows[moment]) for pair, rows in found.matches.items() if camera in pair]
            used = np.unique(np.concatenate([rows[:, side] for side, rows in sides]))
            places, which = merged_places(features.pixels[used].astype(np.float64))
            table = np.zeros(len(features), np.int64)
            table[used] = start + which
            parts.append(places)
            tables.append(table)
            start += len(places)
        pixels.append(np.concatenate(parts))
        lookup.append(tables)
    matches = {}
    for (a, b), moments in found.matches.items():
        ends = [(lookup[a][m][rows[:, 0]], lookup[b][m][rows[:, 1]]) for m, rows in enumerate(moments)]
        matches[a, b] = np.unique(np.concatenate([np.stack(end, 1) for end in ends]), axis=0)
    return Places(pixels, matches)


def _map(pycolmap, database: Path, pictures: Path, folder: Path) -> list:
    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size, options.random_seed = 3, SEED
    return list(pycolmap.incremental_mapping(database, pictures, folder, options=options).values())


def refine(pycolmap, model) -> None:
    """Adjust everything again under a robust loss, which stray matches cannot pull, with ever fewer of them."""
    options = pycolmap.BundleAdjustmentOptions()
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.print_summary = False
    for limit_px in OUTLIERS_PX:
        pycolmap.ObservationManager(model).filter_all_points3D(limit_px, MIN_ANGLE_DEG)
        config = pycolmap.BundleAdjustmentConfig()
        for image_id in model.reg_image_ids():
            config.add_image(image_id)
        config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
        pycolmap.create_default_bundle_adjuster(options, config, model).solve()


def check_registered(names: Sequence[str], model, found: Correspondences) -> None:
    """Raise with the list of cameras that were not placed."""
    images = [] if model is None else model.images.values()
    placed = {int(i.name[:-4]) for i in images if i.has_pose and i.num_points3D >= MIN_POINTS}
    absent = [index for index in range(len(names)) if index not in placed]
    if not absent:
        return
    listed = ", ".join(f"{names[index]} ({num_matches(found, index)} matches)" for index in absent)
    raise UserError(
        f"{len(absent)} of {len(names)} cameras could not be placed: {listed}; expected overlapping pictures with "
        "texture; more --sfm_moments, larger pictures, cameras closer together, or a known --calibration"
    )


def num_matches(found: Correspondences, index: int) -> int:
    """Matches of a camera with all others."""
    return sum(len(rows) for pair, moments in found.matches.items() if index in pair for rows in moments)


def _as_calibration(names: Sequence[str], model) -> Calibration:
    images = {int(image.name[:-4]): image for image in model.images.values()}
    cameras, errors, counts = [], [], []
    for index, name in enumerate(names):
        image = images[index]
        seen = [(p.xy, model.points3D[p.point3D_id].xyz) for p in image.points2D if p.has_point3D()]
        gaps = [np.linalg.norm(image.project_point(point) - pixel) for pixel, point in seen]
        cameras.append(camera_of_image(name, index, model.cameras[image.camera_id], image))
        errors.append(float(np.mean(gaps)))
        counts.append(len(gaps))
    return Calibration(tuple(cameras), tuple(errors), tuple(counts))


def camera_of_image(name: str, number: int, camera, image) -> CameraInfo:
    """The camera of a registered image of pycolmap."""
    if camera.model.name not in LENSES:
        raise UserError(f"camera {name}: model {camera.model.name}; expected {', '.join(LENSES)}; undistort first")
    lens = [float(value) for value in camera.params[camera.extra_params_idxs()]]
    matrix, pose = camera.calibration_matrix(), np.eye(4)
    pose[:3] = image.cam_from_world().matrix()
    return CameraInfo(
        image_name=name,
        image_path=Path(name),
        world_to_camera=pose,
        fx=float(matrix[0, 0]),
        fy=float(matrix[1, 1]),
        cx=float(matrix[0, 2]),
        cy=float(matrix[1, 2]),
        width=camera.width,
        height=camera.height,
        distortion=(*lens, 0.0, 0.0, 0.0, 0.0)[:4] if any(lens) else (),
        camera_id=number,
    )


def _file_name(index: int) -> str:
    return f"{index:04d}.png"
