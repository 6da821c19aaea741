"""Pure functions that add, remove and reset rows of per-Gaussian tensors, in the model and its optimizer together."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from utils.transforms import quaternion_to_matrix


@dataclass(frozen=True)
class RowEdit:
    """A new set of rows made from an old one: what every per-Gaussian tensor must follow."""

    source: Tensor  # [M] int64, the old row each new row is copied from
    is_new: Tensor  # [M] bool, rows that start with zero optimizer moments

    def __len__(self) -> int:
        return self.source.shape[0]

    def keep(self, mask: Tensor) -> RowEdit:
        """This edit followed by dropping the rows outside `mask` [M]."""
        return RowEdit(self.source[mask], self.is_new[mask])

    def take(self, rows: Tensor) -> Tensor:
        """A tensor [N, ...] in the new order [M, ...]."""
        return rows.index_select(0, self.source)

    def take_fresh(self, rows: Tensor) -> Tensor:
        """Like `take`, but zero in the new rows."""
        moved = self.take(rows)
        return moved.masked_fill_(self.is_new.view(-1, *[1] * (moved.dim() - 1)), 0)


def grow_edit(num_rows: int, clone: Tensor, split: Tensor, children: int) -> RowEdit:
    """Rows after cloning and splitting: all but the split parents, then the clones, then the children.

    `clone` and `split` are masks [N]; the children of one parent are `split.sum()` rows apart.
    """
    rows = torch.arange(num_rows, device=clone.device)
    parents = rows[split].repeat(children)
    source = torch.cat([rows[~split], rows[clone], parents])
    is_new = torch.arange(len(source), device=clone.device) >= num_rows - split.sum()
    return RowEdit(source, is_new)


def sample_children(
    means: Tensor,  # [M, 3] of the parents
    log_scales: Tensor,  # [M, 3]
    quats_wxyz: Tensor,  # [M, 4], any length
    shrink: float,
) -> tuple[Tensor, Tensor]:
    """Means drawn from the parents' own distributions, and log-scales divided by `shrink` (Kerbl et al. 2023, 5.2)."""
    offset = torch.randn_like(means) * log_scales.exp()
    rotation = quaternion_to_matrix(torch.nn.functional.normalize(quats_wxyz, dim=-1))
    moved = means + (rotation @ offset[:, :, None]).squeeze(-1)
    return moved, log_scales - torch.log(log_scales.new_tensor(shrink))


def apply_edit(
    params: MutableMapping[str, nn.Parameter],  # each [N, ...]
    optimizer: torch.optim.Optimizer,
    edit: RowEdit,
    replaced: dict[str, Tensor] | None = None,  # [M, ...] values instead of copies
) -> None:
    """Give every per-Gaussian parameter the new rows; Adam's moments follow, zero in new rows, its step count stays."""
    replaced = replaced or {}
    for name, old in list(params.items()):
        values = replaced[name] if name in replaced else edit.take(old.detach())
        swap_parameter(params, optimizer, name, values.contiguous(), edit.take_fresh)


def zero_moments(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> None:
    """Forget a parameter's moments but not its step count."""
    for value in optimizer.state.get(parameter, {}).values():
        if _is_moment(value, parameter):
            value.zero_()


def forget_state(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> None:
    """Forget everything that the optimizer knows about a parameter, as before its first step."""
    optimizer.state.pop(parameter, None)


def swap_parameter(
    params: MutableMapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    name: str,
    values: Tensor,
    move_rows: Callable[[Tensor], Tensor],
) -> None:
    """Put a new Parameter with `values` in the place of `params[name]`, in the optimizer too.

    `move_rows` maps each moment tensor [N, ...] to its new rows [M, ...].
    """
    old = params[name]
    new = nn.Parameter(values, requires_grad=old.requires_grad)
    params[name] = new
    for group in optimizer.param_groups:
        group["params"] = [new if p is old else p for p in group["params"]]
    state = optimizer.state.pop(old, None)
    if state:
        optimizer.state[new] = {k: move_rows(v) if _is_moment(v, old) else v for k, v in state.items()}


def _is_moment(value: object, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape == parameter.shape
