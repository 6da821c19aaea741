"""Trains, renders and measures the scenes on which 3D Gaussian Splatting was published.

    python full_eval.py -m360 data/360 -tat data/tandt -db data/db
    python full_eval.py -o pretrained --skip_training -m360 data/360
    python full_eval.py -m evaluation/garden evaluation/truck --skip_training --skip_rendering

Any of the three data sets will do; scenes that are missing are skipped. docs/evaluation.md says what comes out.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arguments import parse
from arguments.full_eval_params import FullEvalParams
from utils.errors import UserError
from utils.files import atomic_path, read_json
from utils.progress import say, set_quiet, warn
from utils.script import run

ROOT = Path(__file__).resolve().parent
OUTDOOR = ("bicycle", "flowers", "garden", "stump", "treehill")
INDOOR = ("room", "counter", "kitchen", "bonsai")
SETS = {
    "m360": ("mipnerf360", (*OUTDOOR, *INDOOR)),
    "tandt": ("tanksandtemples", ("truck", "train")),
    "db": ("deepblending", ("drjohnson", "playroom")),
}
IMAGES = {**dict.fromkeys(OUTDOOR, "images_4"), **dict.fromkeys(INDOOR, "images_2")}
EXPOSURE = {
    "--exposure_lr_init": "0.001",
    "--exposure_lr_final": "0.0001",
    "--exposure_lr_delay_steps": "5000",
    "--exposure_lr_delay_mult": "0.001",
}
SCORES = ("PSNR", "SSIM", "LPIPS")


@dataclass(frozen=True)
class Job:
    """One scene."""

    group: str
    source: Path
    model: Path

    @property
    def images(self) -> str:
        """Image folder of the published protocol."""
        return IMAGES.get(self.source.name, "images")


def main(args: Sequence[str] | None = None) -> None:
    """Do for every scene what is not skipped; `args` stands in for the command line."""
    (options,) = parse("Train, render and measure the published scenes.", FullEvalParams, args=args)
    set_quiet(options.quiet)
    check_options(options)
    failures: list[str] = []
    if options.model_paths:
        models = [Path(path) for path in options.model_paths]
    else:
        jobs = train_all(find_jobs(options), options, failures)
        models = [job.model for job in render_all(jobs, options, failures)]
    if not options.skip_metrics and models:
        measure(models, options, failures)
    if failures:
        raise UserError(f"{len(failures)} steps failed: {'; '.join(failures)}")


def check_options(options: FullEvalParams) -> None:
    """Refuse what cannot be done."""
    if options.model_paths and not (options.skip_training and options.skip_rendering):
        raise UserError("-m only measures; expected --skip_training --skip_rendering with it; add both")
    given = [getattr(options, flag) for flag, _ in SETS.values()]
    needs_data = not (options.skip_training and options.skip_rendering)
    if needs_data and not any(given):
        raise UserError("no data set given; expected -m360, -tat or -db with a folder; add one or more")
    if not options.iterations or min(options.iterations) < 1:
        raise UserError(f"--iterations is {options.iterations}; expected positive steps, e.g. 7000 30000")


def find_jobs(options: FullEvalParams) -> list[Job]:
    """Scenes of the given data sets that exist; of all of them when only rendered views are measured."""
    jobs, needs_data = [], not (options.skip_training and options.skip_rendering)
    for group, (flag, scenes) in SETS.items():
        root = getattr(options, flag)
        if not root and needs_data:
            continue
        for scene in scenes:
            job = Job(group, Path(root).expanduser() / scene, Path(options.output_path) / scene)
            absent = _absent(job, options)
            if absent is None:
                jobs.append(job)
            elif root:
                say(f"{scene}: skipped, no {absent}")
    if not jobs:
        raise UserError(
            f"no scene found; expected folders like {Path(given_root(options)) / 'garden'}; check the paths"
        )
    return jobs


def given_root(options: FullEvalParams) -> str:
    """The first folder of data, else that of models; for messages."""
    return next((root for flag, _ in SETS.values() if (root := getattr(options, flag))), options.output_path)


def _absent(job: Job, options: FullEvalParams) -> Path | None:
    """What a scene lacks: its data where they are used, its model where it is not trained."""
    if not (options.skip_training and options.skip_rendering) and not (job.source / job.images).is_dir():
        return job.source / job.images
    return job.model if options.skip_training and not job.model.is_dir() else None


def train_all(jobs: Sequence[Job], options: FullEvalParams, failures: list[str]) -> list[Job]:
    """Train every scene; returns those with a model, and leaves `timing.txt`."""
    if options.skip_training:
        return list(jobs)
    done, minutes = [], {}
    for job in jobs:
        say(f"{job.source.name}: training")
        start = time.monotonic()
        if script("train.py", training_words(job, options), failures):
            done.append(job)
        minutes[job.group] = minutes.get(job.group, 0.0) + (time.monotonic() - start) / 60
    with atomic_path(Path(options.output_path) / "timing.txt") as temp:
        temp.write_text(
            "".join(f"{group}: {value:.2f} minutes\n" for group, value in minutes.items()), encoding="utf-8"
        )
    return done


def training_words(job: Job, options: FullEvalParams) -> list[str]:
    """The command line of train.py for a scene."""
    steps = [str(step) for step in sorted(options.iterations)]
    words = ["-s", str(job.source), "-i", job.images, "-m", str(job.model)]
    words += ["--disable_viewer", "--quiet", "--eval", "--test_iterations", "-1"]
    words += ["--iterations", steps[-1], "--save_iterations", *steps]
    words += ["-d", "depths2/"] if options.use_depth else []
    if options.use_expcomp:
        words += ["--exposure", "--train_test_exp", *(word for pair in EXPOSURE.items() for word in pair)]
    words += ["--optimizer_type", "sparse_adam"] if options.fast else []
    words += ["--antialiasing"] if options.aa else []
    return words + shlex.split(options.train_args)


def render_all(jobs: Sequence[Job], options: FullEvalParams, failures: list[str]) -> list[Job]:
    """Render the test views of every saved step; returns the scenes with pictures."""
    if options.skip_rendering:
        return list(jobs)
    done = []
    for job in jobs:
        say(f"{job.source.name}: rendering")
        words = [rendering_words(job, step, options) for step in sorted(options.iterations)]
        if all([script("render.py", each, failures) for each in words]):
            done.append(job)
    return done


def rendering_words(job: Job, step: int, options: FullEvalParams) -> list[str]:
    """The command line of render.py for a saved step of a scene."""
    words = ["-s", str(job.source), "-m", str(job.model), "--iteration", str(step), "--quiet", "--eval", "--skip_train"]
    words += ["--antialiasing"] if options.aa else []
    words += ["--train_test_exp"] if options.use_expcomp else []
    return words + shlex.split(options.render_args)


def measure(models: Sequence[Path], options: FullEvalParams, failures: list[str]) -> None:
    """Measure all folders, and say the scores of each and their means."""
    words = ["-m", *map(str, models), "--quiet"]
    words += ["--lpips_weights", *options.lpips_weights] if options.lpips_weights else []
    script("metrics.py", words, failures)
    rows = {model.name: read_json(model / "results.json") for model in models if (model / "results.json").is_file()}
    for method in sorted({method for row in rows.values() for method in row}, key=lambda name: (len(name), name)):
        scored = {name: row[method] for name, row in rows.items() if "PSNR" in row.get(method, {})}
        for name, scores in scored.items():
            say(f"{name:12}{method:14}{score_text(scores)}")
        if len(scored) > 1:
            say(f"{'mean':12}{method:14}{score_text(mean_of(list(scored.values())))}")


def mean_of(rows: Sequence[dict]) -> dict[str, float]:
    """Mean of each score that all rows have."""
    shared = [key for key in SCORES if all(row.get(key) is not None for row in rows)]
    return {key: sum(row[key] for row in rows) / len(rows) for key in shared}


def score_text(scores: dict) -> str:
    """The scores that there are, in words."""
    return "  ".join(f"{key} {scores[key]:.4f}" for key in SCORES if scores.get(key) is not None)


def script(name: str, words: Sequence[str], failures: list[str]) -> bool:
    """Run one of the project's scripts; a failure is said and noted. Returns whether it went well."""
    code = subprocess.run([sys.executable, str(ROOT / name), *words], check=False).returncode
    if code:
        command = f"python {name} {shlex.join(words)}"
        warn(f"failed with code {code}: {command}")
        failures.append(f"{name} for {words[words.index('-m') + 1]}")
    return not code


if __name__ == "__main__":
    run(main)
