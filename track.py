"""Follows points of a moving scene through all time: where they are in space and in every camera, and who sees them.

    python track.py -m output/run --point 120 80 --view 0
    python track.py -m output/run --point3d 0.1 -0.4 0.2 --time 0
    python track.py -m output/run --queries points.csv
    python track.py -m output/run --grid 40 --view 0 --all_views
    python track.py -m output/run --evaluate data/tracks_gt.npz

X is the column and Y the row in the training image of that view, at the size that training used. Writes to
<model>/tracks/<name>; docs/track.md says what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from arguments import ModelParams, PipelineParams, merge_saved
from arguments.track_params import TrackParams, check_track_options
from gaussian_renderer import RenderSettings, sinks
from gaussian_renderer.frames import Sink
from gaussian_renderer.point_queries import CarrierRules, Carriers
from gaussian_renderer.point_scores import score_tracks, table, truth_carriers
from gaussian_renderer.point_tracks import BEHIND, PointTracks, Watch, as_tracks, follow
from gaussian_renderer.queries import PixelQuery, PointQuery, grid_queries, moving_gaussians, read_queries, resolve
from gaussian_renderer.tails import Tails
from gaussian_renderer.time_paths import distinct_times
from gaussian_renderer.trained import TrainedScene, open_trained, render_settings
from gaussian_renderer.true_points import TruePoints, read_true_points
from gaussian_renderer.usd_points import write_usd_points
from gaussian_renderer.view_paths import ViewPath, all_paths, find_view, path_of
from scene.cameras import Camera
from utils.colormaps import palette
from utils.errors import UserError
from utils.files import write_json
from utils.progress import say, set_quiet, warn
from utils.script import run

GROUPS = (ModelParams, PipelineParams, TrackParams)
HEAD_SHARE = 1 / 160  # of a picture's width: radius of the disc on a point


@dataclass(frozen=True)
class Job:
    """What one run works with."""

    trained: TrainedScene
    settings: RenderSettings
    options: TrackParams

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return self.trained.model_path / "tracks" / self.options.name

    @property
    def rules(self) -> CarrierRules:
        return CarrierRules(self.options.carriers, self.options.compat_static)

    @cached_property
    def cameras(self) -> list[Camera]:
        """All views, those of the training first."""
        return [*self.trained.scene.train, *self.trained.scene.test]

    @cached_property
    def times(self) -> list[float]:
        """Of the training views, rising."""
        return distinct_times(self.trained.scene.train)

    def filmed(self, times: Sequence[float], view: str) -> list[ViewPath]:
        """From where the points are filmed; `view` where the options do not say it."""
        if self.options.all_views:
            return list(all_paths(self.cameras, times).values())
        named = [find_view(self.trained.scene.train, asked, "--views") for asked in self.options.views or (view,)]
        paths = [path_of(camera, self.cameras, times) for camera in named]
        return list({path.name: path for path in paths}.values())


def main(args: Sequence[str] | None = None) -> None:
    """Follow the points that the command line asks for; `args` stands in for it."""
    groups = merge_saved("Follow points of a moving scene through all time.", *GROUPS, args=args)
    model, pipeline, options = groups
    set_quiet(options.quiet)
    check_track_options(options)
    trained = open_trained(model, options.iteration)
    if trained.model.motion.is_static:
        warn(f"{model.model_path}: nothing moves in this model; the points will stand still")
    job = Job(trained, replace(render_settings(model, pipeline), with_features=False), options)
    if options.evaluate:
        evaluate(job)
    else:
        track(job)


def track(job: Job) -> None:
    """Follow the queries of the options."""
    queries = asked_queries(job)
    carriers = resolve(queries, job.trained.model, job.trained.scene.train, job.rules, job.settings)
    view = next((query.view for query in queries if isinstance(query, PixelQuery)), job.options.view)
    paths = job.filmed(job.times, view)
    write_tracks(job, carriers, job.times, paths, paths)


def asked_queries(job: Job) -> list[PixelQuery | PointQuery]:
    """All points of the command line and of its file."""
    options, model = job.options, job.trained.model
    queries = [PixelQuery(options.view, x + 0.5, y + 0.5) for x, y in options.point]
    queries += [PointQuery(point, options.time) for point in options.point3d]
    if options.queries:
        queries += read_queries(Path(options.queries))
    if options.grid:
        camera = find_view(job.trained.scene.train, options.view, "--view")
        moving = moving_gaussians(model, job.times, job.trained.scene.extent)
        queries += grid_queries(camera, model, options.grid, moving, job.settings)
    return queries


def write_tracks(
    job: Job, carriers: Carriers, times: Sequence[float], paths: Sequence[ViewPath], filmed: Sequence[ViewPath]
) -> PointTracks:
    """Follow points, look at them along all paths, film them along some; writes and returns the tracks."""
    trained = job.trained
    points = follow(trained.model, carriers, times)
    names = set() if job.options.skip_video else {path.name for path in filmed}
    watch = Watch(trained.model, job.settings, trained.background, BEHIND * trained.scene.extent)
    seen = watch.observe(points, paths, lambda path: films(job, path, times, points) if path.name in names else [])
    tracks = as_tracks(carriers, times, points, paths, seen)
    tracks.save(job.folder)
    colors = palette(points.shape[1]).numpy()
    write_usd_points(job.folder / "tracks.usda", tracks.points, colors, job.options.fps, job.options.metres_per_unit)
    still = int(carriers.static.sum())
    say(f"{points.shape[1]} points ({still} on the background) over {len(times)} moments; written: {job.folder}")
    return tracks


def films(job: Job, path: ViewPath, times: Sequence[float], points: Tensor) -> list[Sink]:
    """The video of one camera."""
    head_px = max(1, round(HEAD_SHARE * path.cameras[0].width))
    slack = BEHIND * job.trained.scene.extent
    tails = Tails(torch.tensor(times, dtype=torch.float64), points, palette(points.shape[1]), slack, head_px)
    return [sinks.VideoSink(job.folder / f"{path.name}.mp4", tails.on(sinks.color_picture), job.options.fps)]


def evaluate(job: Job) -> None:
    """Follow true points and score the tracks."""
    options, model = job.options, job.trained.model
    truth = read_true_points(Path(options.evaluate), job.times, options.gt_first_frame, options.gt_sequence)
    times = truth.times.tolist()
    known = all_paths(job.cameras, times)
    truth = known_truth(truth, known, options.evaluate)
    measured = [known[number] for number in truth.cameras]
    carriers = truth_carriers(truth, model, measured, job.rules, job.settings)
    filmed = job.filmed(times, options.view)
    paths = list({path.name: path for path in [*measured, *filmed]}.values())
    found = write_tracks(job, carriers, times, paths, filmed)
    scores = score_tracks(found.of_cameras(len(measured)), truth, measured, options.metres_per_unit)
    write_json(job.folder / "results.json", scores | {"truth": options.evaluate, "carriers": options.carriers})
    say(table(scores))
    say(f"written: {job.folder / 'results.json'}")


def known_truth(truth: TruePoints, known: dict[int, ViewPath], path: str) -> TruePoints:
    """The truth in the cameras that the scene has."""
    part = truth.of_cameras(known)
    lost = len(truth.cameras) - len(part.cameras)
    if lost:
        warn(f"{path}: {lost} of its {len(truth.cameras)} cameras are not in the data set; they are left out")
    if len(part.start) == 0:
        raise UserError(f"{path}: none of its points is in a camera of the data set; are they of one scene?")
    return part


if __name__ == "__main__":
    run(main)
