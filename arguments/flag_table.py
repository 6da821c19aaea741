"""The table of all flags, made from the option groups themselves."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Any

from arguments.cli import flag_names
from arguments.convert_params import ConvertParams
from arguments.edit_params import EditParams
from arguments.exchange_params import ExchangeParams
from arguments.full_eval_params import FullEvalParams
from arguments.motion_params import MotionParams
from arguments.params import ModelParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from arguments.script_params import FollowParams, MetricsParams, RenderParams, SegmentParams, VideoParams
from arguments.track_params import TrackParams
from arguments.tracking_params import TrackingParams
from arguments.view_params import ViewParams

SCRIPT_GROUPS: dict[str, tuple[type, ...]] = {
    "train.py": (
        ModelParams,
        PipelineParams,
        OptimizationParams,
        SemanticParams,
        MotionParams,
        TrainParams,
        TrackingParams,
    ),
    "render.py": (ModelParams, PipelineParams, SemanticParams, MotionParams, RenderParams, FollowParams),
    "segment.py": (ModelParams, PipelineParams, SemanticParams, SegmentParams),
    "view.py": (ModelParams, PipelineParams, SemanticParams, ViewParams),
    "track.py": (ModelParams, PipelineParams, TrackParams),
    "edit.py": (EditParams,),
    "convert.py": (ConvertParams, ExchangeParams),
    "metrics.py": (MetricsParams,),
    "full_eval.py": (FullEvalParams,),
    "videos.py": (VideoParams,),
}

HEAD = """# All flags

Written by `python -m arguments > docs/flags.md`. A switch `--flag` has a counterpart `--no_flag`; dashes may replace
underscores. `render.py` and `segment.py` start from what was saved with the model, and the command line wins.
"""


def flags_markdown() -> str:
    """All flags of the main scripts as Markdown, one table per group."""
    groups = dict.fromkeys(group for groups in SCRIPT_GROUPS.values() for group in groups)
    return HEAD + "".join(_group_table(group) for group in groups)


def field_docs(group: type) -> dict[str, str]:
    """The text below each field of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(group))).body[0].body  # type: ignore[attr-defined]
    docs: dict[str, str] = {}
    for field, text in zip(body, body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            docs[field.target.id] = str(text.value.value)  # type: ignore[union-attr]
    return docs


def _group_table(group: type) -> str:
    scripts = ", ".join(f"`{script}`" for script, groups in SCRIPT_GROUPS.items() if group in groups)
    lines = [f"\n## {group.__name__}\n", f"{group.__doc__} Used by {scripts}.\n"]
    lines += ["| flag | default | meaning |", "|---|---|---|"]
    names, docs = flag_names(group), field_docs(group)
    for field in dataclasses.fields(group):
        flags = " ".join(f"`{flag}`" for flag in names[field.name] if flag != f"--no_{field.name}")
        lines.append(f"| {flags} | {_default_text(field.default)} | {docs[field.name]} |")
    return "\n".join(lines) + "\n"


def _default_text(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value == "" or value == ():
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "`" + (" ".join(map(str, value)) if isinstance(value, tuple) else f"{value}") + "`"
