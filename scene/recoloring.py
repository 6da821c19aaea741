"""New colours for Gaussians: named changes of RGB, and old `lambda color: ...` texts, read but never executed."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from utils.errors import UserError
from utils.spherical_harmonics import rgb_to_sh

Recolor = Callable[[Tensor], Tensor]  # spherical-harmonics coefficients [M, K, 3] -> [M, K, 3]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
HUE_SHIFT_DEG = 120.0
MAX_TEXT, MAX_NUMBER = 500, 1e6
CALL = re.compile(r"(\w+)\s*(?:\(\s*(-?[\d.]+)\s*\))?")
KNOWN = 'swap_rgb, grayscale, hue_shift, hue_shift(DEGREES), [r, g, b] in 0..1, or "lambda color: color[:, [2, 1, 0]]"'
ARITHMETIC = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def parse_recolor(value: object) -> Recolor:
    """The colour change that a configuration names: one of `KNOWN`.

    Named changes act on RGB, as seen from every direction: they are linear and keep greys, so that all coefficients can
    be changed alike. [r, g, b] paints evenly. A `lambda` acts on the constant coefficient only, as in Feature 3DGS.

    Raises:
        UserError: anything else.
    """
    if isinstance(value, (list, tuple)):
        return painted(_triple(value))
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith("lambda"):
        return parse_lambda(text)
    call = CALL.fullmatch(text)
    name, number = (call[1], call[2]) if call else ("", None)
    if name in ("swap_rgb", "grayscale") and number is None:
        return mixed(channel_swap() if name == "swap_rgb" else grey_mix())
    if name == "hue_shift":
        return mixed(hue_rotation(HUE_SHIFT_DEG if number is None else _number(number)))
    raise UserError(f"colorFunc is {value!r}; expected {KNOWN}; change it")


def mixed(matrix: Tensor) -> Recolor:
    """RGB -> matrix [3, 3] RGB. Its rows must sum to 1: then it maps coefficients just as it maps colours."""
    return lambda sh: sh @ matrix.to(sh).T


def painted(rgb: Sequence[float]) -> Recolor:
    """One colour (0..1), the same from everywhere."""

    def paint(sh: Tensor) -> Tensor:
        result = torch.zeros_like(sh)
        result[:, 0] = rgb_to_sh(torch.tensor(rgb)).to(sh)
        return result

    return paint


def channel_swap() -> Tensor:
    """Red and blue change places, [3, 3]."""
    return torch.eye(3).flip(0)


def grey_mix() -> Tensor:
    """Every channel becomes the brightness, [3, 3]."""
    return torch.tensor(LUMA).expand(3, 3)


def hue_rotation(angle_deg: float) -> Tensor:
    """Rotation of RGB about the grey axis, [3, 3]: red becomes green at 120 degrees (Rodrigues' formula)."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg)) / math.sqrt(3)
    third = (1 - c) / 3
    return torch.tensor(
        [[c + third, third - s, third + s], [third + s, c + third, third - s], [third - s, third + s, c + third]]
    )


def parse_lambda(text: str) -> Recolor:
    """`lambda color: EXPRESSION` on the constant coefficients [M, 3].

    Known are the name itself, numbers, + - * /, and columns: `color[:, [2, 1, 0]]`, `color[:, ::-1]`.
    """
    body, name = _lambda_body(text)
    _evaluate(body, name, torch.full((2, 3), 0.5))  # says at once what is wrong

    def recolor(sh: Tensor) -> Tensor:
        return torch.cat([_evaluate(body, name, sh[:, 0])[:, None], sh[:, 1:]], dim=1)

    return recolor


def _lambda_body(text: str) -> tuple[ast.expr, str]:
    """The expression and the name of its argument."""
    try:
        tree = ast.parse(text, mode="eval").body if len(text) <= MAX_TEXT else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if not isinstance(tree, ast.Lambda):
        raise UserError(f"colorFunc {text[:60]!r} cannot be read; expected {KNOWN}; change it")
    arguments = tree.args
    if len(arguments.args) != 1 or ast.unparse(arguments) != arguments.args[0].arg:
        raise UserError(f"colorFunc {text[:60]!r}: expected one argument, as in 'lambda color: ...'; change it")
    return tree.body, arguments.args[0].arg


def _evaluate(body: ast.expr, name: str, color: Tensor) -> Tensor:
    """The value [M, 3] of an expression for the coefficients [M, 3]."""
    try:
        value = _value(body, name, color)
    except UserError:
        raise
    except (IndexError, ValueError, RuntimeError, ArithmeticError) as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"colorFunc {_shown(body)}: {reason}; expected {KNOWN}; change it") from None
    if not isinstance(value, Tensor) or value.shape != color.shape or not bool(torch.isfinite(value).all()):
        raise UserError(f"colorFunc {_shown(body)} gives no finite colours [M, 3]; expected {KNOWN}; change it")
    return value


def _value(node: ast.expr, name: str, color: Tensor) -> Tensor | float:
    if isinstance(node, ast.Name) and node.id == name:
        return color
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and abs(node.value) <= MAX_NUMBER:
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _value(node.operand, name, color)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        return ARITHMETIC[type(node.op)](_value(node.left, name, color), _value(node.right, name, color))
    if isinstance(node, ast.Subscript):
        value = _value(node.value, name, color)
        if isinstance(value, Tensor) and value.ndim == 2:
            columns = list(range(value.shape[1]))
            return value[:, [columns[i] for i in _columns(node.slice, columns)]]
    raise UserError(f"colorFunc has {_shown(node)}; expected {KNOWN}; change it")


def _columns(index: ast.expr, columns: list[int]) -> list[int]:
    """Column numbers of `[:, NUMBERS]` or `[:, START:STOP:STEP]`."""
    is_pair = isinstance(index, ast.Tuple) and len(index.elts) == 2
    rows, chosen = index.elts if is_pair else (None, None)
    if isinstance(rows, ast.Slice) and rows.lower is rows.upper is rows.step is None:
        if isinstance(chosen, ast.Slice):
            ends = (None if end is None else _integer(end) for end in (chosen.lower, chosen.upper, chosen.step))
            return columns[slice(*ends)]
        if isinstance(chosen, (ast.List, ast.Tuple)):
            return [_integer(item) for item in chosen.elts]
    raise UserError(f"colorFunc has the index [{_shown(index)}]; expected columns as in [:, [2, 1, 0]]; change it")


def _integer(node: ast.expr) -> int:
    value = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
    if isinstance(value, ast.Constant) and type(value.value) is int:
        return value.value if value is node else -value.value
    raise UserError(f"colorFunc has {_shown(node)} in an index; expected whole numbers; change it")


def _shown(node: ast.expr) -> str:
    return f"'{ast.unparse(node)[:60]}'"


def _triple(values: Sequence[object]) -> tuple[float, ...]:
    good = len(values) == 3 and all(type(value) in (int, float) and 0 <= value <= 1 for value in values)
    if not good:
        raise UserError(f"colorFunc is {list(values)}; expected three numbers in 0..1; change it")
    return tuple(map(float, values))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"colorFunc has the angle {text!r}; expected degrees, e.g. hue_shift(90); change it") from None
