"""Makes data sets of photos, videos and recordings of rigs, and brings results of Dynamic 3D Gaussians in and out.

    python convert.py -s data/mine                                  # photos in data/mine/input
    python convert.py -s photos -o data/mine --resize
    python convert.py --video clip.mp4 -o data/mine
    python convert.py -s data/mine --skip_matching                  # the model is in data/mine/distorted/sparse/0
    python convert.py --check data/mine
    python convert.py --mode rig -s videos -o data/mine
    python convert.py --mode rig -s videos -o data/mine --baseline cam_00 cam_04 3.2 --plates empty_stage
    python convert.py --mode rig -s frames -o data/mine --calibration sparse/0
    python convert.py --mode rig --panoptic 161029_sports1 -o data/sports
    python convert.py --mode import_d3dg -s params.npz --data data/basketball -o output/basketball
    python convert.py --mode export_d3dg -m output/basketball -o params.npz
    python convert.py --mode splats -m output/run -o scene.compressed.ply
    python convert.py --mode splats -s downloaded_model -o output/imported --data data/scene
    python convert.py --mode cameras -s data/scene -o transforms.json

docs/own_photos.md and docs/own_rig.md say what comes out, and what to do when something fails; docs/exchange.md is
about the last three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from arguments import ExchangeParams
from arguments.cli import parse
from arguments.convert_params import ConvertParams
from capture.check import DEFAULT_OUTPUT, explain
from capture.panoptic import panoptic_options
from capture.photo_set import convert_photos
from capture.rig import convert_rig
from gaussian_renderer.camera_exchange import convert_cameras
from gaussian_renderer.clip_exchange import export_clip, import_clip
from gaussian_renderer.splat_exchange import check_exchange, is_file, prepared, write_prepared
from scene.formats.d3dg import read_params_npz
from training.output_folder import set_aside_earlier_run
from utils.errors import UserError
from utils.progress import say, set_quiet
from utils.script import run

RIG_FPS = 30.0  # of folders of pictures


def main(args: Sequence[str] | None = None) -> None:
    """Convert what the command line says; `args` stands in for it."""
    text = "Make a data set of photos or recordings, or exchange models, clips and cameras with other programs."
    options, wishes = parse(text, ConvertParams, ExchangeParams, args=args)
    set_quiet(options.quiet)
    if options.check:
        explain(Path(options.check), Path(options.output or DEFAULT_OUTPUT))
    elif options.mode in EXCHANGES:
        EXCHANGES[options.mode](options, wishes)
    else:
        MODES[options.mode](options)


def from_recordings(options: ConvertParams) -> None:
    """A data set of synchronised cameras that stand still."""
    if not options.output or bool(options.source_path) == bool(options.panoptic):
        raise UserError("expected --output and either --source_path or --panoptic; give them")
    if (options.masks == "folder") != bool(options.mask_folder):
        raise UserError("--mask_folder and --masks folder belong together; give both or neither")
    if options.resize is not None and (len(options.resize) != 2 or min(options.resize) < 16):
        raise UserError(f"--resize is {options.resize}; expected a width and a height of 16 px or more; change it")
    options = replace(options, fps=RIG_FPS if options.fps is None else options.fps)
    convert_rig(panoptic_options(options) if options.panoptic else options)


def from_d3dg(options: ConvertParams) -> None:
    """A model folder of the clip of another program."""
    if not options.output or not options.source_path:
        raise UserError("--mode import_d3dg makes a model of a clip; expected -s params.npz and -o FOLDER; give them")
    params, folder = read_params_npz(options.source_path), Path(options.output)
    set_aside_earlier_run(folder)
    import_clip(params, folder, options.data)
    say(f"{len(params.arrays)} Gaussians at {len(params.trajectories.times)} moments in {folder}")
    source = "" if options.data else " -s DATA"
    say(f"next: python track.py -m {folder}{source} --grid 24")


def to_d3dg(options: ConvertParams) -> None:
    """The clip of a model folder, for another program."""
    if not options.output.endswith(".npz") or not options.model_path:
        raise UserError("--mode export_d3dg writes a model as a clip; expected -m FOLDER and -o params.npz; give them")
    export_clip(Path(options.model_path), Path(options.output), options.iteration)


def to_splats(options: ConvertParams, wishes: ExchangeParams) -> None:
    """Gaussians of any program in the form of any other."""
    check_exchange(options, wishes)
    source = prepared(options, wishes)
    if not is_file(options.output):
        set_aside_earlier_run(Path(options.output))
    write_prepared(source, options, wishes)


EXCHANGES = {"splats": to_splats, "cameras": convert_cameras}
MODES = {"photos": convert_photos, "rig": from_recordings, "import_d3dg": from_d3dg, "export_d3dg": to_d3dg}


if __name__ == "__main__":
    run(main)
