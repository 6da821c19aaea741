"""Make a procedural data set with exact ground truth: python examples/make_scene.py static OUT [--views 48] ..."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from examples import camera_paths  # noqa: E402
from examples.layered import enclosed_toys, write_layers  # noqa: E402
from examples.procedural import moving_toys, still_life  # noqa: E402
from examples.rig_videos import write_videos  # noqa: E402
from examples.tumble import tumbling  # noqa: E402
from examples.writers import write_blender, write_colmap, write_rig  # noqa: E402
from utils.errors import UserError  # noqa: E402
from utils.files import read_json, write_json  # noqa: E402
from utils.progress import say  # noqa: E402
from utils.script import run  # noqa: E402

MARKER = "procedural.json"  # what is in the folder, and whether it is complete
RECIPE = 1  # raise it when equal options would give other pictures: old scenes are then not taken for the new ones
NEWER_OPTIONS = ("world", "newcomer", "videos")  # not in the marker when unused: older scenes stay what they are
OUR_FOLDERS = (
    *("images", "sparse", "train", "test", "ims", "seg", "videos"),
    *("labels", "depth_gt", "object_masks", "features", "inner", "outer", "composite"),
)
Kind = Literal["static", "static_blender", "dynamic", "rig", "layers"]


@dataclass(frozen=True)
class SceneOptions:
    """What to make and where."""

    kind: tyro.conf.Positional[Kind]
    """static: COLMAP; static_blender: NeRF-synthetic RGBA; dynamic: D-NeRF, one moving camera; rig: fixed cameras;
    layers: toys in a glass shell, as three NeRF-synthetic RGBA scenes: the toys, the shell, and both."""
    out: tyro.conf.Positional[Path]
    """Folder to write."""
    size: tuple[int, int] = (160, 120)
    """Width and height of the pictures in px."""
    views: int = 48
    """Pictures (static), training pictures (others but rig; a fifth as many test pictures are added)."""
    cameras: int = 10
    """Cameras of the rig; every fifth is held out."""
    frames: int = 12
    """Time steps of the rig."""
    samples: int = 2
    """Rays per pixel side: 2 = 2x2 antialiasing."""
    jumping: bool = False
    """dynamic: the camera jumps over the upper hemisphere from picture to picture, as in D-NeRF's scenes."""
    world: Literal["toys", "tumble"] = "toys"
    """rig: toys, of which three move; tumble: falling, hopping, rolling and articulated things with much detail."""
    newcomer: int = 0
    """rig, tumble: time step at which a drum drops into the pictures for the first time; 0 = never."""
    videos: bool = False
    """rig: also write videos/cam_NN.mp4, 30 frames per second."""
    seed: int = 0
    """Moves the toys a little; equal seeds give equal files."""
    overwrite: bool = False
    """Replace another procedural scene in the folder."""


def check(options: SceneOptions) -> None:
    """Raise a `UserError` for options that make no scene."""
    least = {"size": min(options.size), "views": options.views, "cameras": options.cameras, "frames": options.frames}
    limits = {"size": 16, "views": 2, "cameras": 3, "frames": 2}
    for name, limit in limits.items():
        if least[name] < limit:
            raise UserError(f"--{name} is {least[name]}; expected at least {limit}; use a larger number")
    if not 1 <= options.samples <= 8:
        raise UserError(f"--samples is {options.samples}; expected 1 to 8; 2 is a good choice")
    if options.newcomer and (options.world != "tumble" or not 0 < options.newcomer < options.frames):
        raise UserError(
            f"--newcomer is {options.newcomer} with {options.frames} frames of --world {options.world}; expected a "
            "time step from 1 to the last one of --world tumble; change one of them"
        )
    if options.videos and (options.size[0] % 2 or options.size[1] % 2):
        size = f"{options.size[0]} {options.size[1]}"
        raise UserError(f"--size is {size}; expected even numbers with --videos; change one of them")


def record(options: SceneOptions, complete: bool) -> dict:
    """What the marker file holds: the options that decide the content, and whether all of it is written."""
    content = asdict(options)
    unused = {name for name in NEWER_OPTIONS if content[name] == getattr(SceneOptions, name)}
    content = {key: value for key, value in content.items() if key not in unused | {"out", "overwrite"}}
    return content | {"size": list(options.size), "recipe": RECIPE, "complete": complete}


def prepare_folder(options: SceneOptions) -> bool:
    """Whether there is something to do; with `overwrite`, removes what an earlier run of this script wrote."""
    folder, marker = options.out, options.out / MARKER
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; expected a folder or nothing; choose another OUT")
    if not folder.is_dir() or not any(folder.iterdir()):
        return True
    if not marker.exists():
        raise UserError(
            f"{folder} holds other files; expected a new folder or a scene of this script; choose another OUT"
        )
    if not options.overwrite and read_json(marker) == record(options, complete=True):
        return False
    if not options.overwrite:
        raise UserError(f"{folder} holds another or an unfinished scene; expected a new folder; add --overwrite")
    for name in OUR_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    return True


def write_scene(options: SceneOptions) -> None:
    """Render and write the scene."""
    size, views = options.size, options.views
    if options.kind == "static":
        write_colmap(
            options.out, still_life(options.seed), camera_paths.orbit(views, size), options.samples, options.seed
        )
    elif options.kind == "static_blender":
        train = camera_paths.hemisphere(views, size, options.seed)
        test = camera_paths.hemisphere(max(1, views // 5), size, options.seed + 1)
        write_blender(options.out, still_life(options.seed, background=False), train, test, options.samples)
    elif options.kind == "dynamic":
        times, between = np.linspace(0, 1, views), (np.arange(max(1, views // 5)) + 0.5) / max(1, views // 5)
        train = camera_paths.moving_camera(times, size)
        if options.jumping:
            train = camera_paths.hemisphere(views, size, options.seed, times.tolist())
        test = camera_paths.moving_camera(between, size, turns=1.0, phase_deg=70.0)
        write_blender(options.out, moving_toys(options.seed), train, test, options.samples)
    elif options.kind == "layers":
        train = camera_paths.hemisphere(views, size, options.seed)
        test = camera_paths.hemisphere(max(1, views // 5), size, options.seed + 1)
        write_layers(options.out, enclosed_toys(options.seed), train, test, options.samples)
    else:
        write_rig_scene(options)


def write_rig_scene(options: SceneOptions) -> None:
    """Render and write a rig, with videos if wanted."""
    world = moving_toys(options.seed, background=True)
    if options.world == "tumble":
        world = tumbling(options.frames, options.newcomer, options.seed)
    cameras, times = camera_paths.rig(options.cameras, options.size), np.linspace(0, 1, options.frames)
    grid = write_rig(options.out, world, cameras, times, options.samples)
    if options.videos:
        write_videos(options.out / "videos", grid)


def make(options: SceneOptions) -> None:
    """Make the scene unless the same one is there already."""
    check(options)
    if not prepare_folder(options):
        say(f"{options.out}: this scene is there already")
        return
    start = time.monotonic()
    write_json(options.out / MARKER, record(options, complete=False))
    say(f"making a {options.kind} scene of {options.size[0]}x{options.size[1]} px in {options.out}")
    write_scene(options)
    write_json(options.out / MARKER, record(options, complete=True))
    say(f"done in {time.monotonic() - start:.1f} s")
    if options.kind == "layers":
        say(f"next: python train.py -s {options.out}/inner -m output/inner --eval -a --random_background --save_layer")
        return
    teacher = "" if options.kind == "rig" else " -f classical"
    say(f"next: python train.py -s {options.out} -m output/run --eval{teacher}")


def main() -> None:
    """Read the command line and make the scene."""
    make(tyro.cli(SceneOptions, description=__doc__, use_underscores=True))


if __name__ == "__main__":
    run(main)
