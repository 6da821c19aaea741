"""Synchronised recordings become a data set: all steps, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from arguments.convert_params import ConvertParams
from capture import cloud, layout, masks, world
from capture.calibrate import Calibration, Correspondences, calibrate, find_correspondences
from capture.cloud import StageView
from capture.features import Features, detect
from capture.ingest import Recording, find_recordings, read_frames
from capture.known import read_calibration
from capture.report import Findings, write_rig_report
from capture.synchronise import Synchronisation, synchronise
from capture.timeline import Timeline, common_timeline
from capture.undistort import pinhole_camera, pinhole_picture
from scene.scene_info import CameraInfo, PointCloud
from utils.errors import UserError
from utils.files import write_json
from utils.progress import Progress, say, warn

UNSURE_FRAMES = 0.5  # of disagreement about an offset from which on it is said
UNSURE_ERROR_PX = 1.0
FULL_MASK = 0.6  # share of a picture above which a mask of moving things is doubtful
POINT_CELL = 0.004  # points nearer to one another than this share of the cameras' distance are one
FLOOR_REACH, HULL_REACH = 0.9, 0.8  # half sides of the searched square and cube, in the cameras' distance
FAR_REACH = 2.0  # of the floor around that square, which cameras see behind the stage, each by itself
STRAY_DISTANCE = 0.15  # from its neighbours, in the cameras' distance, from which on a point is left out


@dataclass(frozen=True, eq=False)
class Sampled:
    """Pictures of some moments, as photographed, and their matched points."""

    moments: tuple[int, ...]
    first: tuple[np.ndarray, ...]  # [C] pictures of the first moment
    found: Correspondences


def convert_rig(options: ConvertParams) -> None:
    """Make the data set that the options ask for."""
    folder, findings = Path(options.output), Findings()
    recordings = find_recordings(Path(options.source_path), options.fps)
    names = [recording.name for recording in recordings]
    numbers = layout.camera_numbers(names)
    test = layout.held_out(names, numbers, options.test_cams)
    layout.prepare_folder(folder, options.overwrite)
    say(f"{len(recordings)} recordings of {min(map(len, recordings))} to {max(map(len, recordings))} frames")
    timeline = synchronised(recordings, options, findings)
    size = options.resize or min((recording.size for recording in recordings), key=lambda size: size[0] * size[1])
    say("looking for points that several cameras see")
    sampled = sample_moments(recordings, timeline, options.sfm_moments)
    calibration = calibrated(recordings, sampled, options, findings)
    calibration, placed = placed_world(calibration, sampled, names, options, findings)
    cameras = [replace(c, camera_id=n) for c, n in zip(calibration.cameras, numbers, strict=True)]
    say(f"writing {timeline.num_moments} moments of {size[0]}x{size[1]} px")
    views = [write_camera(r, c, timeline.frames[i], size, options, findings)
             for i, (r, c) in enumerate(with_progress(recordings, cameras))]  # fmt: skip
    points = initial_cloud(views, cameras, sampled, placed, options.num_points)
    finish(folder, views, points, test, timeline, placed, findings)


def synchronised(recordings: Sequence[Recording], options: ConvertParams, findings: Findings) -> Timeline:
    """The common time, and what is to be said about it."""
    sync: Synchronisation = synchronise(recordings, options.sync, options.offsets)
    timeline = common_timeline(recordings, sync.offsets_sec, options.frame_step, options.num_frames)
    findings.facts |= {"synchronised by": sync.method, "moments": f"{timeline.num_moments} at {timeline.fps:.5g} fps"}
    for recording, offset, residual, error in zip(
        recordings, sync.offsets_sec, sync.residuals_sec, timeline.errors_sec, strict=True
    ):
        findings.rows.append({
            "camera": recording.name, "frames": len(recording), "fps": recording.fps, "starts, ms": 1000 * offset,
            "disagreement, ms": 1000 * residual, "nearest frame, ms": 1000 * error,
        })  # fmt: skip
        if residual * timeline.fps > UNSURE_FRAMES:
            note(findings, f"{recording.name}: its offset is unsure by {1000 * residual:.0f} ms; check with --offsets")
        if not recording.is_even:
            note(findings, f"{recording.name}: uneven frame rate; the nearest frames are taken")
    if len({round(recording.fps, 1) for recording in recordings}) > 1:
        note(findings, "the frame rates differ; the slowest is used, of the others the nearest frames")
    return timeline


def sample_moments(recordings: Sequence[Recording], timeline: Timeline, count: int) -> Sampled:
    """Matched points of so many moments, evenly spread."""
    if count < 1:
        raise UserError(f"--sfm_moments is {count}; expected 1 or more; 3 is a good choice")
    moments = np.unique(np.linspace(0, timeline.num_moments - 1, min(count, timeline.num_moments)).round().astype(int))
    first, features = [], []
    for recording, frames in zip(recordings, timeline.frames, strict=True):
        pictures = dict(read_frames(recording, frames[moments]))
        first.append(pictures[frames[moments[0]]])
        features.append(_described([pictures[frames[moment]] for moment in moments]))
    return Sampled(tuple(map(int, moments)), tuple(first), find_correspondences(features))


def _described(pictures: Sequence[np.ndarray]) -> list[Features]:
    return [detect(picture) for picture in pictures]


def calibrated(
    recordings: Sequence[Recording], sampled: Sampled, options: ConvertParams, findings: Findings
) -> Calibration:
    """The cameras, given or found."""
    names, sizes = [recording.name for recording in recordings], [recording.size for recording in recordings]
    if options.calibration:
        calibration = read_calibration(Path(options.calibration), names, sizes)
    else:
        say("finding the cameras")
        calibration = calibrate(names, sampled.first, sampled.found, options.lens)
    findings.facts["cameras from"] = calibration.source
    for row, camera in zip(findings.rows, calibration.cameras, strict=True):
        row["focal length, px"] = camera.fx
    for row, error, count in zip(findings.rows, calibration.errors_px, calibration.num_points, strict=False):
        row |= {"reprojection, px": error, "points seen": count}
        if error > UNSURE_ERROR_PX:
            note(
                findings, f"{row['camera']}: reprojection error {error:.2f} px; expected less than {UNSURE_ERROR_PX:g}"
            )
    if calibration.errors_px:
        say(f"all {len(names)} cameras placed, mean reprojection error {np.mean(calibration.errors_px):.2f} px")
    return calibration


def placed_world(
    calibration: Calibration, sampled: Sampled, names: Sequence[str], options: ConvertParams, findings: Findings
) -> tuple[Calibration, world.World]:
    """The cameras in a world with the floor at y = 0; a given calibration keeps its own world."""
    cameras = calibration.cameras
    if options.calibration:
        findings.facts["world"] = "as in the given calibration"
        return calibration, world.AS_IT_IS
    scale = options.scale or 1.0
    if options.baseline is not None:
        scale = world.scale_from_baseline(cameras, names, *options.baseline)
    is_metric = options.baseline is not None or options.scale > 0
    points = cloud.triangulate(sampled.found, cameras, [0])
    placed = world.find_world(cameras, points, scale, is_metric)
    on_floor = f"on it {100 * placed.floor_share:.0f} % of the points" if placed.floor_share else "not found"
    findings.facts |= {"floor": on_floor, "unit": "metre" if is_metric else "not known"}
    if not placed.floor_share:
        note(findings, "no floor was found; y is down as the cameras have it, the height of the floor is not known")
    if not is_metric:
        note(findings, "the scale is not known; give --baseline CAMERA CAMERA METRES or --scale for metres")
    return replace(calibration, cameras=tuple(placed.camera(camera) for camera in cameras)), placed


def with_progress(recordings: Sequence[Recording], cameras: Sequence[CameraInfo]):
    """Pairs of both, with a progress bar."""
    with Progress(len(recordings)) as progress:
        for number, pair in enumerate(zip(recordings, cameras, strict=True), start=1):
            yield pair
            progress.update(number)


def write_camera(
    recording: Recording, camera: CameraInfo, frames: np.ndarray, size: tuple[int, int], options: ConvertParams,
    findings: Findings,
) -> StageView:  # fmt: skip
    """Write all pictures and masks of one camera; returns its first moment."""
    folder, pinhole = Path(options.output), pinhole_camera(camera, size)
    by_frame = {index: pinhole_picture(image, camera, size) for index, image in read_frames(recording, frames)}
    pictures = [by_frame[index] for index in frames]
    found = moving_masks(recording, camera, frames, pictures, options)
    for moment, picture in enumerate(pictures):
        layout.write_picture(folder, pinhole, moment, picture)
        if found is not None:
            layout.write_mask(folder, pinhole, moment, found[moment])
    if found is None:
        return StageView(pinhole, pictures[0])
    shares = [float(mask.mean()) for mask in found]
    row = next(row for row in findings.rows if row["camera"] == recording.name)
    row |= {"mask, %": 100 * float(np.mean(shares)), "mask varies by, %": 100 * float(np.std(shares))}
    if max(shares) > FULL_MASK or max(shares) == 0:
        note(findings, f"{recording.name}: masks cover {100 * max(shares):.0f} % at most; see the report's pictures")
    return StageView(pinhole, pictures[0], found[0])


def moving_masks(
    recording: Recording, camera: CameraInfo, frames: np.ndarray, pictures: Sequence[np.ndarray], options: ConvertParams
) -> list[np.ndarray] | None:
    """What moves in each picture of one camera, bool [H, W]; None = not asked."""
    size = pictures[0].shape[1], pictures[0].shape[0]
    if options.masks == "none":
        return None
    if options.masks == "folder":
        paths = masks.find_masks(Path(options.mask_folder), recording.name, len(recording))
        raw = (masks.read_mask(paths[index], recording.size).astype(np.uint8) for index in frames)
        return [pinhole_picture(mask[..., None], camera, size, nearest=True)[..., 0] > 0 for mask in raw]
    if options.plates:
        plate = pinhole_picture(masks.read_plate(Path(options.plates), recording.name, recording.size), camera, size)
    else:
        plate = masks.empty_stage(pictures)
    return [masks.difference_mask(picture, plate, options.mask_threshold) for picture in pictures]


def initial_cloud(
    views: Sequence[StageView], cameras: Sequence[CameraInfo], sampled: Sampled, placed: world.World, limit: int
) -> PointCloud:
    """Matched points, hull of what moves and floor, thinned; at most `limit` points."""
    middle = world.meeting_point(cameras)
    reach = float(np.median([np.linalg.norm(camera.center - middle) for camera in cameras]))
    cell = POINT_CELL * reach
    parts = [cloud.thinned(cloud.triangulate(sampled.found, cameras, [0]), cell, limit // 2)]
    if all(view.mask is not None for view in views):
        hull, side = cloud.visual_hull(views, middle, HULL_REACH * reach)
        parts.append(cloud.thinned(hull, side, limit // 4))
        cell = max(cell, side)
    if placed.floor_share:
        parts += [cloud.thinned(part, cell, limit // 4) for part in floor(views, reach)]
    return cloud.coloured_cloud(views, cloud.without_strays(np.concatenate(parts), STRAY_DISTANCE * reach), cell)


def floor(views: Sequence[StageView], reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of the floor on the stage, and of what lies around it."""
    near, far = cloud.floor_points(views, FLOOR_REACH * reach), cloud.floor_points(views, FAR_REACH * reach, 1)
    return near, far[np.abs(far).max(1) > FLOOR_REACH * reach]


def finish(
    folder: Path, views: Sequence[StageView], points: PointCloud, test: Sequence[int], timeline: Timeline,
    placed: world.World, findings: Findings,
) -> None:  # fmt: skip
    """Write cloud, report and cameras; the file that makes it a data set comes last."""
    seen = cloud.visibility(views, points.positions.astype(np.float64), 0.0).sum(1)
    for place, (row, count) in enumerate(zip(findings.rows, seen, strict=True)):
        row |= {"cloud points seen": int(count), "held out": "yes" if place in test else ""}
    moving = int((points.foreground > 0.5).sum())
    findings.facts["cloud"] = f"{len(points)} points, {moving} of them foreground"
    if len(points) < 1000:
        note(findings, f"the cloud has only {len(points)} points; training may need a calibration or more texture")
    layout.write_cloud(folder, points)
    write_rig_report(folder / "report.html", findings, views, points)
    known = {"is_metric": placed.is_metric, "floor_known": placed.floor_share > 0}
    facts = {"facts": findings.facts, "cameras": findings.rows, "warnings": findings.warnings}
    write_json(folder / layout.MARKER, {"complete": True, "fps": timeline.fps, **known, **facts})
    layout.write_cameras(folder, [view.camera for view in views], test, timeline.num_moments)
    say(f"{findings.facts['cloud']}; look at {folder / 'report.html'}")
    say(f"next: python train.py -s {folder} -m output/run --eval")


def note(findings: Findings, text: str) -> None:
    """Say a warning, and keep it for the report."""
    warn(text)
    findings.warnings.append(text)
