"""`convert.py --mode splats`: any known Gaussians become any known file, checkpoint or model folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from arguments import ExchangeParams
from arguments.convert_params import ConvertParams
from gaussian_renderer.splat_folder import LAYOUTS, checkpoint_of, fitted, write_checkpoint, write_model_folder
from gaussian_renderer.splat_source import Source, chosen_rows, open_source, read_class_names
from scene.formats import find_format, known_formats, write_splats
from scene.formats.ply import FEATURE_PREFIX, LABEL_PREFIX, write_ply
from scene.gaussian_model import GaussianModel
from scene.merging import merged, sh_degree_of, with_sh_degree, worth_keeping
from scene.motion import CODE_NAME
from scene.motion.freeze import frozen_at
from utils.errors import UserError
from utils.progress import say, warn

CHECKPOINT = ".pth"
_FILE_NAME = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,7}")


def is_file(output: str) -> bool:
    """Whether an output is a file rather than a model folder; an unknown ending is an error."""
    name = Path(output).name.lower()
    if name.endswith((CHECKPOINT, *(entry.extension for entry in known_formats()))):
        return True
    if _FILE_NAME.fullmatch(Path(output).suffix) and not Path(output).is_dir():
        find_format(output)  # says which endings there are
    return False


def check_exchange(options: ConvertParams, wishes: ExchangeParams) -> None:
    """Refuse what does not fit together, before anything is read."""
    if bool(options.source_path) == bool(options.model_path) or not options.output:
        raise UserError("--mode splats converts Gaussians; expected -s INPUT or -m MODEL, and -o OUTPUT; give them")
    if (wishes.labels or wishes.invert) and not wishes.selection:
        raise UserError("--labels and --invert choose from a --selection; expected its file selection.npz; give it")
    if wishes.max_sh_degree is not None and not 0 <= wishes.max_sh_degree <= 3:
        raise UserError(f"--max_sh_degree is {wishes.max_sh_degree}; expected 0, 1, 2 or 3; change it")
    if not 0 <= wishes.time <= 1:
        raise UserError(f"--time is {wishes.time}; expected a moment in 0..1; change it")
    given, output = Path(options.source_path or options.model_path).resolve(), Path(options.output).resolve()
    if output in (given, *given.parents):
        raise UserError(f"{options.output} holds the input; expected another folder or file; choose another -o")
    if is_file(options.output) and Path(options.output).exists() and not options.overwrite:
        raise UserError(f"{options.output} exists; nothing was changed; choose another -o, or add --overwrite")


def prepared(options: ConvertParams, wishes: ExchangeParams) -> Source:
    """All inputs in one, with what was chosen of the first, in a form that the output can have.

    Raises:
        UserError: in one line what is wrong with an input, or does not fit together.
    """
    classes = read_class_names(Path(wishes.classes)) if wishes.classes else ()
    source = _chosen(open_source(Path(options.source_path or options.model_path), options.iteration, classes), wishes)
    if wishes.merge:
        source = _merged(source, [open_source(Path(path)) for path in wishes.merge], wishes)
    if wishes.clean:
        source = _cleaned(source)
    if not wishes.features:
        source = replace(source, model=source.model.with_features(None), decoder=None, classes=())
    if wishes.max_sh_degree is not None:
        source = _with_degree(source, wishes.max_sh_degree)
    moves = not is_file(options.output) and (wishes.layout == "ours" or LAYOUTS[wishes.layout].moves)
    return fitted(source if moves else _still(source, wishes), wishes.layout)


def write_prepared(source: Source, options: ConvertParams, wishes: ExchangeParams) -> None:
    """Write a file, checkpoint or model folder; see docs/exchange.md."""
    count, output = f"{len(source.model)} Gaussians", Path(options.output)
    if is_file(options.output):
        _write_file(output, source, wishes, options.data)
        say(f"{count} in {output} ({output.stat().st_size / 2**20:.1f} MiB)")
        return
    write_model_folder(output, source, wishes.layout, options.data)
    if wishes.checkpoint:
        write_checkpoint(checkpoint_of(output, source), source, wishes.layout, options.data)
    say(f"{count} in {output}, as iteration {source.iteration}")
    say(f"next: python render.py -m {output}")


def _chosen(source: Source, wishes: ExchangeParams) -> Source:
    """The Gaussians of --layers and --selection."""
    keep = torch.ones(len(source.model), dtype=torch.bool).numpy()
    if wishes.layers:
        keep &= _of_layers(source, wishes.layers)
    if wishes.selection:
        keep &= chosen_rows(Path(wishes.selection), len(keep), wishes.labels, wishes.invert)
    if not keep.any():
        raise UserError(f"{source.path}: none of its {len(keep)} Gaussians is chosen; choose others")
    return source.rows(keep)


def _of_layers(source: Source, wanted: Sequence[str]) -> np.ndarray:
    """[N] bool: which Gaussians belong to layers of these numbers or names."""
    if source.layers is None:
        raise UserError(
            f"--layers: {source.path} has no layers; expected a column layer or a layers.json; leave it out"
        )
    return np.isin(np.arange(len(source.model)), source.layers.rows_of(wanted))


def _merged(first: Source, others: list[Source], wishes: ExchangeParams) -> Source:
    """One still model of several; features are kept if they are of one kind."""
    sources = [_still(source, wishes) for source in (first, *others)]
    kinds = {(source.classes, None if source.decoder is None else source.path) for source in sources}
    if len(kinds) > 1 and any(source.model.features is not None for source in sources):
        warn("the inputs have features of different kinds; left out")
        sources = [replace(source, model=source.model.with_features(None)) for source in sources]
    model = GaussianModel.from_arrays(merged([source.model.to_arrays() for source in sources]))
    kept = model.features is not None
    return replace(
        sources[0],
        model=model,
        layers=None,
        decoder=sources[0].decoder if kept else None,
        classes=sources[0].classes if kept else (),
        moments={},
    )


def _cleaned(source: Source) -> Source:
    keep = worth_keeping(source.model.to_arrays())
    if not keep.any():
        raise UserError(f"{source.path}: --clean would leave nothing of {len(keep)} Gaussians; leave it out")
    say(f"--clean: left out {int((~keep).sum())} of {len(keep)} Gaussians")
    return source.rows(keep)


def _with_degree(source: Source, degree: int) -> Source:
    arrays = source.model.to_arrays()
    if degree == sh_degree_of(arrays):
        return source
    model = GaussianModel.from_arrays(with_sh_degree(arrays, degree))
    return replace(source, model=model.with_motion(source.model.motion), moments={})


def _still(source: Source, wishes: ExchangeParams) -> Source:
    """The source at the moment of --time, if it moves."""
    if source.model.motion.is_static and CODE_NAME not in source.model.params:
        return source
    if not source.model.motion.is_static:
        say(f"{source.path}: moves; taken at time {wishes.time:g} (--time)")
    return replace(source, model=frozen_at(source.model, wishes.time), moments={})


def _write_file(path: Path, source: Source, wishes: ExchangeParams, data: str) -> None:
    if path.suffix == CHECKPOINT:
        write_checkpoint(path, source, wishes.layout, data)
        return
    arrays = source.model.to_arrays()
    if path.name.lower().endswith(".ply") and find_format(path).extension == ".ply":
        prefix = LABEL_PREFIX if source.classes else FEATURE_PREFIX
        known = LAYOUTS.get(wishes.layout)
        degree = known.sh_degree if known else None
        arrays = arrays if degree is None else with_sh_degree(arrays, degree)
        numbers = source.layers.numbers if known and known.layers and source.layers else None
        write_ply(path, arrays, (known.features if known else None) or prefix, numbers)
    else:
        write_splats(path, arrays)
