"""Command lines that do the same as the buttons of the viewer."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from scene.cameras import Camera
from viewer.questions import Question


def segment_command(
    model_path: Path, question: Question, name: str, views: Sequence[Camera], iteration: int | None, clicks_file: Path
) -> str:
    """`segment.py` with the same prompts.

    Args:
        model_path: of the model.
        question: what was asked for; not empty.
        name: of the selection.
        views: training views in the order in which they are counted.
        iteration: saved step; None = the newest.
        clicks_file: where the clicks were written, for those that are not all in one training view.
    """
    words = ["python", "segment.py", "-m", str(model_path)]
    if question.word:
        words += ["--text", question.word]
        words += [word for other in question.against for word in ("--negative", other)]
    else:
        words += _click_words(question, views, clicks_file)
    if question.threshold is not None:
        words += ["--threshold", f"{question.threshold:.6g}"]
    if not question.connected and not question.word:
        words.append("--no_connected")
    return shlex.join([*words, *_iteration_words(iteration), "--name", name])


def _click_words(question: Question, views: Sequence[Camera], clicks_file: Path) -> list[str]:
    only = question.clicks[0] if len(question.clicks) == 1 else None
    if only is None or only.keep is not None or only.camera not in views:
        return ["--clicks", str(clicks_file)]
    words = ["--view", str(list(views).index(only.camera))]
    for flag, points in (("--point", only.asked.positive), ("--negative", only.asked.negative)):
        words += [word for x, y in points for word in (flag, str(x), str(y))]
    return words


def render_command(model_path: Path, path_file: Path, count: int, iteration: int | None) -> str:
    """`render.py` along the cameras of a file; more than one also as a video."""
    words = ["python", "render.py", "-m", str(model_path), "--skip_train", "--skip_test", "--novel_view"]
    words += ["--path", "file", "--camera_path", str(path_file), *_iteration_words(iteration)]
    return shlex.join(words + (["--video"] if count > 1 else []))


def _iteration_words(iteration: int | None) -> list[str]:
    return [] if iteration is None else ["--iteration", str(iteration)]
