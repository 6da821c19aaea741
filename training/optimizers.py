"""Optimizers of the Gaussians: one group per tensor, Adam with eps 1e-15, or Adam on visible rows only."""

from __future__ import annotations

from collections.abc import Mapping

import ndraster
import torch
from torch import Tensor, nn

from arguments import OptimizationParams
from utils.errors import UserError

ADAM_EPS = 1e-15
ADAM_BETAS = (0.9, 0.999)


def learning_rates(
    options: OptimizationParams, semantic_feature_lr: float, extent: float, motion_code_lr: float = 0.0
) -> dict[str, float]:
    """Initial rate of every per-Gaussian tensor, by its name; positions scale with the scene's extent."""
    return {
        "xyz": options.position_lr_init * extent,
        "f_dc": options.feature_lr,
        "f_rest": options.feature_lr / 20.0,
        "opacity": options.opacity_lr,
        "scaling": options.scaling_lr,
        "rotation": options.rotation_lr,
        "semantic_feature": semantic_feature_lr,
        "motion_code": motion_code_lr,
    }


def parameter_groups(params: Mapping[str, nn.Parameter], rates: Mapping[str, float]) -> list[dict]:
    """One optimizer group per tensor, under its own name."""
    return [{"name": name, "params": [parameter], "lr": rates[name]} for name, parameter in params.items()]


class DeviceRates:
    """Learning rates of an optimizer's parameters on their device, written there only when they change.

    A step captured in a CUDA graph reads them anew at every replay: `upload` comes first.
    """

    def __init__(self) -> None:
        self._values: list[float] = []
        self._tensor = torch.zeros(0)
        self._views: tuple[Tensor, ...] = ()

    def upload(self, optimizer: torch.optim.Optimizer) -> tuple[Tensor, ...]:
        """A number on the device per parameter, in the order of the groups; does not wait for the device."""
        values = [group["lr"] for group in optimizer.param_groups for _ in group["params"]]
        if values != self._values:
            fresh = torch.tensor(values, dtype=torch.float32)
            if len(values) != len(self._tensor):
                self._tensor = torch.empty_like(fresh, device=optimizer.param_groups[0]["params"][0].device)
                self._views = self._tensor.unbind()
            self._tensor.copy_(fresh, non_blocking=True)
            self._values = values
        return self._views


class SparseAdam(torch.optim.Optimizer):
    """Adam that touches only the Gaussians seen in this view and leaves the moments of all others alone.

    Without bias correction, as in Taming 3DGS (Mallick et al. 2024): first steps are about 3.2 times Adam's.
    """

    def __init__(self, groups: list[dict], betas: tuple[float, float] = ADAM_BETAS, eps: float = ADAM_EPS):
        super().__init__(groups, {"lr": 0.0, "betas": betas, "eps": eps})
        self.rates = DeviceRates()

    @torch.no_grad()
    def step(self, radii_px: Tensor | None = None) -> None:
        """One update of the rows whose `radii_px` [N] are positive (None: of all). No synchronisation, no indexing."""
        if _runs_fused(self):
            _fused_step(self, None if radii_px is None else radii_px.int(), counts_steps=False)
            return
        visible = None if radii_px is None else radii_px > 0
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group, visible)

    def _update(self, parameter: nn.Parameter, group: dict, visible: Tensor | None) -> None:
        state = self.state[parameter]
        if not state:
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        rows = 1.0 if visible is None else visible.to(parameter.dtype).view(-1, *[1] * (parameter.dim() - 1))
        beta1, beta2 = group["betas"]
        mean.lerp_(parameter.grad, (1.0 - beta1) * rows)
        square.lerp_(parameter.grad.square(), (1.0 - beta2) * rows)
        parameter.addcdiv_(mean * rows, square.sqrt().add_(group["eps"]), value=-group["lr"])


class DenseAdam(torch.optim.Adam):
    """torch's Adam, fused, with the `step(radii_px)` of SparseAdam: every row is updated."""

    def __init__(self, groups: list[dict], betas: tuple[float, float] = ADAM_BETAS, eps: float = ADAM_EPS):
        super().__init__(groups, lr=0.0, betas=betas, eps=eps, fused=_can_fuse(groups))
        self.rates = DeviceRates()

    @torch.no_grad()
    def step(self, radii_px: Tensor | None = None) -> None:
        """One update of all rows."""
        if _runs_fused(self):
            _fused_step(self, None, counts_steps=True)
            return
        super().step()


OPTIMIZERS = {"default": DenseAdam, "sparse_adam": SparseAdam}


def build_optimizer(kind: str, groups: list[dict]) -> DenseAdam | SparseAdam:
    """The optimizer named on the command line, over groups made by `parameter_groups`."""
    if kind not in OPTIMIZERS:
        raise UserError(f"--optimizer_type is {kind!r}; expected one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[kind](groups)


def _runs_fused(optimizer: torch.optim.Optimizer) -> bool:
    """Whether ndraster's one-launch Adam serves all parameters."""
    return all(ndraster.has_adam(p) for group in optimizer.param_groups for p in group["params"])


def _fused_step(optimizer: torch.optim.Optimizer, radii_px: Tensor | None, counts_steps: bool) -> None:
    """All tensors in one launch; state as torch's Adam keeps it: exp_avg, exp_avg_sq and, if steps count, step."""
    everything = [p for group in optimizer.param_groups for p in group["params"]]
    uploaded = zip(everything, optimizer.rates.upload(optimizer), strict=True)
    rated = [(parameter, rate) for parameter, rate in uploaded if parameter.grad is not None]
    if not rated:
        return
    parameters, rates = zip(*rated, strict=True)
    states = [_moments(optimizer, p, counts_steps) for p in parameters]
    means, squares = [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]
    steps = [state["step"] for state in states] if counts_steps else []
    gradients = [p.grad for p in parameters]
    settings = {name: optimizer.param_groups[0][name] for name in ("betas", "eps")}  # the same in all groups
    ndraster.adam_step(parameters, gradients, means, squares, steps, rates, radii_px, **settings)


def _moments(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, counts_steps: bool) -> dict[str, Tensor]:
    """The optimizer's state of a parameter, zero at first."""
    state = optimizer.state[parameter]
    if "exp_avg" not in state:
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    if counts_steps and "step" not in state:
        state["step"] = torch.zeros((), device=parameter.device)
    return state


def _can_fuse(groups: list[dict]) -> bool:
    """Fused Adam takes floating-point tensors on CPU and CUDA."""
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for g in groups for p in g["params"])
