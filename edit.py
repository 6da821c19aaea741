"""Makes new scenes of trained ones: removes, copies, moves, retimes, combines, lets things follow, paints.

    python edit.py examples/edits/crowd.json -o output/crowd
    python render.py -m output/crowd --novel_view --path file --camera_path output/crowd/camera_path.json --video

The scene file describes layers; the result is a tracked model folder like that of train.py, which all other scripts
open. docs/edit.md describes the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from arguments import ModelParams, load_config, parse
from arguments.edit_params import EditParams
from gaussian_renderer import RenderSettings
from gaussian_renderer.composed_model import open_source, write_model
from gaussian_renderer.coverage import lost_coverage
from gaussian_renderer.feature_basis import evenly_spread
from gaussian_renderer.painting import PaintedView, painted_colors
from gaussian_renderer.time_paths import distinct_times
from gaussian_renderer.trained import resolve_iteration
from gaussian_renderer.trajectories import sorted_by_name
from scene import Scene
from scene.cameras import Camera
from scene.composition.bake import bake
from scene.composition.camera_mount import mounted_cameras, path_record, up_of
from scene.composition.layers import Composition, Layer, Paint
from scene.composition.scene_file import read_scene_file
from scene.composition.select import Source
from scene.composition.stage import Stage
from training.output_folder import set_aside_earlier_run
from utils.devices import choose_device
from utils.errors import UserError
from utils.files import write_json
from utils.image_io import read_image, to_float
from utils.progress import say, set_quiet
from utils.script import run

CAMERA_PATH = "camera_path.json"
MOMENTS = 60  # where the base's photographs show one moment but something moves
HOLE_VIEWS = 12  # in which holes are looked for


def main(args: Sequence[str] | None = None) -> None:
    """Compose what the scene file describes; `args` stands in for the command line."""
    (options,) = parse("Make a new scene of trained ones.", EditParams, args=args)
    set_quiet(options.quiet)
    composition, folder = read_scene_file(options.scene), Path(options.output)
    check_output(folder, composition)
    device, settings = choose_device(options.device), RenderSettings(options.backend)
    views = open_views(composition.by_name[composition.base], device)
    sources = {layer.name: open_layer(layer, device, settings) for layer in composition.layers}
    stage = Stage(composition, sources, moments_of(composition, views, sources))
    baked = bake(stage)
    set_aside_earlier_run(folder)
    base = composition.by_name[composition.base]
    write_model(folder, baked, Path(base.model), resolve_iteration(base.model, base.iteration))
    write_json(folder / CAMERA_PATH, [path_record(camera) for camera in filmed_from(stage, views)])
    say(f"{len(baked)} Gaussians of {len(composition.layers)} layers at {len(stage.times)} moments in {folder}")
    report_holes(stage, views, settings)
    say(f"next: python render.py -m {folder} --novel_view --path file --camera_path {folder / CAMERA_PATH} --video")


def check_output(folder: Path, composition: Composition) -> None:
    """Refuse to write into a model that is read."""
    for layer in composition.layers:
        if layer.model and Path(layer.model).resolve() == folder.resolve():
            raise UserError(f"-o {folder} is the model of layer {layer.name!r}; expected another folder; change it")


def open_views(layer: Layer, device: torch.device) -> Scene:
    """The data set that a layer's model was trained on."""
    return Scene.open(replace(load_config(layer.model, ModelParams), model_path=layer.model), device)


def open_layer(layer: Layer, device: torch.device, settings: RenderSettings) -> Source:
    """The Gaussians of a layer, painted if the layer says so."""
    source = open_source(layer, device)
    kind = source.model.motion.kind
    say(f"layer {layer.name!r}: {len(source.model)} Gaussians of {layer.model or layer.ply}, motion {kind}")
    if layer.paint is None:
        return source
    views = open_views(layer, device)
    background = torch.full((3,), float(load_config(layer.model, ModelParams).white_background), device=device)
    view = painted_view(layer.paint, [*views.train, *views.test])
    return replace(source, paint=painted_colors(source.model, view, background, settings))


def painted_view(paint: Paint, cameras: Sequence[Camera]) -> PaintedView:
    """The picture that was painted on, and the view that it shows."""
    found = [camera for camera in cameras if camera.image_name == paint.view]
    if not found:
        names = sorted(camera.image_name for camera in cameras)
        raise UserError(f"paint: no view {paint.view!r}; there are {names[0]} to {names[-1]}; change it")
    image = to_float(read_image(paint.image)[..., :3])
    camera = found[0].resized(image.shape[2], image.shape[1])
    if paint.time is not None:
        camera = replace(camera, time=paint.time)
    mask = to_float(read_image(paint.mask)[..., :1]) if paint.mask else None
    if mask is not None and mask.shape[1:] != image.shape[1:]:
        seen = f"{mask.shape[2]}x{mask.shape[1]} px"
        raise UserError(f"{paint.mask} has {seen}, the picture {image.shape[2]}x{image.shape[1]}; they must be alike")
    return PaintedView(camera, image, mask)


def moments_of(composition: Composition, views: Scene, sources: dict[str, Source]) -> Sequence[float]:
    """The moments that are baked."""
    if composition.times is not None:
        return composition.times
    times = distinct_times(views.train)
    moves = any(not source.model.motion.is_static for source in sources.values())
    moves |= any(len(layer.keyframes) > 1 for layer in composition.layers)
    if len(times) > 1 or not moves:
        return times
    return [index / (MOMENTS - 1) for index in range(MOMENTS)]


def filmed_from(stage: Stage, views: Scene) -> list[Camera]:
    """One camera per moment: on the part that the file names, or else the first training view."""
    first, mount = sorted_by_name(views.train)[0], stage.composition.camera
    if mount is not None:
        return mounted_cameras(stage, mount, first, up_of(views.train))
    return [replace(first, image_name=f"moment_{i:05d}", time=time) for i, time in enumerate(stage.times)]


def report_holes(stage: Stage, views: Scene, settings: RenderSettings) -> None:
    """Say how much of the base's views nothing covers any more."""
    model, rows = stage.sources[stage.composition.base].model, stage.rows(stage.composition.base)
    if len(rows) == len(model):
        return
    kept = torch.zeros(len(model), dtype=torch.bool, device=model.device).index_fill(0, rows, True)
    cameras = evenly_spread(views.train, HOLE_VIEWS)
    lost, total = lost_coverage(cameras, model, kept, settings)
    say(f"holes: {lost} of {total} pixels of {len(cameras)} views ({lost / total:.1%}) lose what covered them")


if __name__ == "__main__":
    run(main)
