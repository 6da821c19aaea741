"""What is saved with a model: `config.json` (all options) and `cfg_args` (one line, for viewers and older tools)."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import os
import types
import typing
import uuid
from pathlib import Path
from typing import Any, Literal, TypeVar

from arguments.params import ModelParams

Group = TypeVar("Group")

CONFIG_NAME, LEGACY_NAME = "config.json", "cfg_args"
VERSION = 1
LEGACY_FIELDS = (
    "sh_degree",
    "source_path",
    "model_path",
    "images",
    "depths",
    "resolution",
    "white_background",
    "train_test_exp",
    "data_device",
    "eval",
)
# These belong to the machine or to one run, so what training used is no default for other scripts.
NOT_INHERITED = ("data_device", "device", "backend", "quiet")


class OptionError(ValueError):
    """A wrong option or options file, in one line: what was seen; what was expected; what to do."""


def resolve_paths(model: ModelParams) -> ModelParams:
    """`source_path` made absolute, and `model_path` chosen (`output/<10 letters>`, or $OAR_JOB_ID) when it is empty."""
    source = os.path.abspath(model.source_path) if model.source_path else ""
    folder = model.model_path or os.path.join("output", os.environ.get("OAR_JOB_ID") or str(uuid.uuid4())[:10])
    return dataclasses.replace(model, source_path=source, model_path=folder)


def save_config(model_path: str | os.PathLike, *groups: Any) -> None:
    """Write `config.json` with all `groups` (instances), and `cfg_args` when a `ModelParams` is among them."""
    folder = Path(model_path)
    folder.mkdir(parents=True, exist_ok=True)
    sections = {type(group).__name__: dataclasses.asdict(group) for group in groups}
    _replace_text(folder / CONFIG_NAME, json.dumps({"version": VERSION} | sections, indent=2) + "\n")
    for group in groups:
        if isinstance(group, ModelParams):
            save_legacy_args(folder, group)


def load_config(model_path: str | os.PathLike, group: type[Group]) -> Group:
    """The saved options of one group, from `config.json` or else from a graphdeco `cfg_args`.

    Fields that the file lacks keep their default, as do those that belong to the machine (`NOT_INHERITED`).

    Raises:
        OptionError: there is no such file, it is damaged, or a value has the wrong type.
    """
    folder = Path(model_path)
    if (folder / CONFIG_NAME).is_file():
        path = folder / CONFIG_NAME
        values = _read_json_object(path).get(group.__name__, {})
        if not isinstance(values, dict):
            raise OptionError(f"{path}: {group.__name__} is not an object; restore the file or delete it")
    elif (folder / LEGACY_NAME).is_file():
        path = folder / LEGACY_NAME
        values = _read_legacy(path)
    else:
        seen = f"{folder} has no {CONFIG_NAME} and no {LEGACY_NAME}" if folder.is_dir() else f"no folder {folder}"
        raise OptionError(f"{seen}; expected a model folder that train.py wrote; check -m")
    hints = typing.get_type_hints(group)
    names = [field.name for field in dataclasses.fields(group) if field.name not in NOT_INHERITED]
    return group(**{name: _coerce(values[name], hints[name], f"{path}: {name}") for name in names if name in values})


def _replace_text(path: Path, text: str) -> None:
    """Write a small file so that it is never seen half written."""
    temp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        temp.write_text(text, encoding="utf-8")
        os.replace(temp, path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise


def save_legacy_args(model_path: str | os.PathLike, model: ModelParams, **further: Any) -> None:
    """Write `cfg_args` alone, with further options that another program expects there."""
    _replace_text(Path(model_path) / LEGACY_NAME, _legacy_line(model, **further))


def _legacy_line(model: ModelParams, **further: Any) -> str:
    values = {name: getattr(model, name) for name in LEGACY_FIELDS} | further
    if values["data_device"] == "auto":  # unknown to the readers of this file
        values["data_device"] = "cuda"
    return repr(argparse.Namespace(**values))


def _read_json_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{path} is not valid JSON ({error}); restore it from a copy or train again") from None
    if not isinstance(data, dict):
        raise OptionError(f"{path} holds a {type(data).__name__}; expected an object; restore it or train again")
    return data


def _read_legacy(path: Path) -> dict[str, Any]:
    """Keywords of a printed `Namespace(...)`; literals only, nothing is executed."""
    try:
        call = ast.parse(path.read_text(encoding="utf-8").strip(), mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Namespace"):
            raise ValueError("it is not a Namespace(...)")
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("it has values without names")
        values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        return {"exposure": values.get("train_test_exp", False)} | values  # there one switch is both
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(
            f"{path} is not one line Namespace(name=literal, ...) ({reason}); restore or mend it"
        ) from None


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type `hint`: bool, int, float, str, Literal, tuple or `X | None`."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and isinstance(value, (list, tuple)):
        if inner[-1] is ...:
            return tuple(_coerce(item, inner[0], where) for item in value)
        if len(value) == len(inner):
            return tuple(_coerce(item, kind, where) for item, kind in zip(value, inner, strict=True))
    elif origin in (types.UnionType, typing.Union):
        kinds = [kind for kind in inner if kind is not type(None)]
        return None if value is None else _coerce(value, kinds[0], where)
    elif origin is Literal:
        if value in inner and type(value) in {type(choice) for choice in inner}:
            return value
    elif hint is float and type(value) in (int, float):
        return float(value)
    elif type(value) is hint:
        return value
    expected = getattr(hint, "__name__", str(hint)) if origin is None else str(hint).replace("typing.", "")
    raise OptionError(f"{where} is {value!r}; expected {expected}; mend the file")
