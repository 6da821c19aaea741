"""The trained thing: a dictionary of per-Gaussian parameters and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

import ndraster
import torch
from torch import Tensor, nn

from scene.formats import SplatArrays
from scene.layers import NO_LAYERS, FrozenLayers
from scene.motion import CODE_NAME, Motion
from scene.motion.static import StaticMotion

PARAMETER_NAMES = ("xyz", "f_dc", "f_rest", "opacity", "scaling", "rotation")
"""Parameters every model has, named as in the optimizer groups of 3DGS checkpoints."""
FEATURE_NAME = "semantic_feature"

_TRAILING_SHAPES = {"xyz": (3,), "f_dc": (1, 3), "opacity": (1,), "scaling": (3,), "rotation": (4,)}
_MAX_DEGREE = 3


class GaussianModel:
    """N Gaussians as stored (before activation); holds no optimizer and no statistics.

    `params` is a plain dictionary: densification replaces its entries.

    | key | shape | stored as |
    |---|---|---|
    | `xyz` | [N, 3] | world units |
    | `f_dc`, `f_rest` | [N, 1, 3], [N, K - 1, 3] | spherical-harmonics coefficients |
    | `opacity` | [N, 1] | logit |
    | `scaling` | [N, 3] | natural logarithm of the standard deviations |
    | `rotation` | [N, 4] | quaternion wxyz, any length |
    | `semantic_feature` | [N, D] | as rendered; absent without features |
    | `motion_code` | [N, J] | what the motion keeps about each Gaussian; absent where it keeps nothing |
    """

    def __init__(
        self,
        params: Mapping[str, Tensor],
        active_sh_degree: int | None = None,
        motion: Motion | None = None,
        layers: FrozenLayers = NO_LAYERS,
    ) -> None:
        """Takes the tensors over as parameters.

        Args:
            params: tensors with the keys and shapes of the table above.
            active_sh_degree: degree rendered so far; None = the highest that the coefficients allow.
            motion: how the Gaussians move; None = not at all.
            layers: frozen Gaussians that `at` gives as further rows behind these N; nothing else counts them.
        """
        _check_shapes(params)
        for layer in layers:
            _check_shapes(layer.tensors)
        self.params: dict[str, nn.Parameter] = {
            name: value if isinstance(value, nn.Parameter) else nn.Parameter(value.detach())
            for name, value in params.items()
        }
        self.motion: Motion = motion or StaticMotion()
        degree = self.max_sh_degree if active_sh_degree is None else active_sh_degree
        self.active_sh_degree: int = min(degree, self.max_sh_degree)
        self.layers: FrozenLayers = layers.of_width(self.feature_dim)

    @classmethod
    def from_arrays(cls, arrays: SplatArrays, device: torch.device | str = "cpu") -> GaussianModel:
        """A model with the values of a splat file."""
        return cls({name: torch.tensor(value, device=device) for name, value in arrays.named().items()})

    def to_arrays(self) -> SplatArrays:
        """The stored values as float32 NumPy arrays, ready for a splat file."""
        values = {name: value.detach().float().cpu().numpy() for name, value in self.params.items()}
        return SplatArrays(**values)

    @property
    def num_gaussians(self) -> int:
        return self.params["xyz"].shape[0]

    def __len__(self) -> int:
        return self.num_gaussians

    @property
    def device(self) -> torch.device:
        return self.params["xyz"].device

    @property
    def feature_dim(self) -> int:
        """Width D of the features, 0 without features."""
        return self.params[FEATURE_NAME].shape[1] if FEATURE_NAME in self.params else 0

    @property
    def means(self) -> Tensor:
        """[N, 3] world units."""
        return self.params["xyz"]

    @property
    def log_scales(self) -> Tensor:
        """[N, 3] natural logarithms."""
        return self.params["scaling"]

    @property
    def quats_wxyz(self) -> Tensor:
        """[N, 4] quaternions as stored, not normalised."""
        return self.params["rotation"]

    @property
    def sh(self) -> Tensor:
        """[N, K, 3] spherical-harmonics coefficients."""
        return torch.cat((self.params["f_dc"], self.params["f_rest"]), dim=1)

    @property
    def features(self) -> Tensor | None:
        """[N, D] semantic features, or None."""
        return self.params.get(FEATURE_NAME)

    @property
    def max_sh_degree(self) -> int:
        """Highest degree that the stored coefficients allow."""
        return isqrt(self.params["f_rest"].shape[1] + 1) - 1

    @property
    def drawn_sh_degree(self) -> int:
        """Degree at which `at` is to be rendered: the active one, or that of a frozen layer which is higher."""
        return max(self.active_sh_degree, self.layers.sh_degree)

    def oneup_sh_degree(self) -> None:
        """Renders one more SH degree from now on, up to the highest."""
        self.active_sh_degree = min(self.active_sh_degree + 1, self.max_sh_degree)

    def activated(self) -> ndraster.Gaussians:
        """The values the rasterizer takes: scales exp, opacities sigmoid, quaternions of length 1."""
        p = self.params
        stored = (p["xyz"], p["rotation"], p["scaling"], p["opacity"], p["f_dc"], p["f_rest"])
        return ndraster.activate(*stored, features=self.features)

    def at(self, time: float | Tensor) -> ndraster.Gaussians:
        """Activated Gaussians at a moment in 0..1, and behind them the rows of the frozen layers."""
        return self.layers.behind(self.motion.at(self, time), self.active_sh_degree)

    def to(self, device: torch.device | str) -> GaussianModel:
        """A new model with the values on a device; shares memory with this one if they are there already."""
        moved = {name: value.detach().to(device) for name, value in self.params.items()}
        return self._with_params(moved).with_layers(self.layers.to(device))

    def subset(self, mask: Tensor) -> GaussianModel:
        """A new model with the chosen Gaussians.

        Args:
            mask: [N] bool, or indices [M].
        """
        chosen = {name: value.detach()[mask.to(value.device)] for name, value in self.params.items()}
        model = self._with_params(chosen)
        model.motion = self.motion.rows(mask)
        return model

    def with_features(self, features: Tensor | None) -> GaussianModel:
        """A new model with other features [N, D], or with none."""
        params = {name: value.detach() for name, value in self.params.items() if name != FEATURE_NAME}
        if features is not None:
            params[FEATURE_NAME] = features
        return self._with_params(params)

    def with_motion(self, motion: Motion) -> GaussianModel:
        """A new model that moves like this, with an empty motion code if the motion keeps one and there is none."""
        params = {name: value.detach() for name, value in self.params.items()}
        kept = params.pop(CODE_NAME, None)
        if motion.code_width:
            fits = kept is not None and kept.shape[1] == motion.code_width
            params[CODE_NAME] = kept if fits else self.means.new_zeros(len(self), motion.code_width)
        model = self._with_params(params)
        model.motion = motion
        return model

    def with_layers(self, layers: FrozenLayers) -> GaussianModel:
        """A new model with these frozen layers behind it, on its device."""
        return GaussianModel(self.params, self.active_sh_degree, self.motion, layers)

    def state_dict(self) -> dict[str, object]:
        """Tensors and numbers of the model, loadable with `weights_only=True`."""
        tensors = {name: value.detach() for name, value in self.params.items()}
        layers = {"layers": self.layers.state()} if self.layers else {}
        return {"params": tensors, "active_sh_degree": self.active_sh_degree, **layers}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, object], device: torch.device | str = "cpu") -> GaussianModel:
        """The model that `state_dict` described."""
        tensors = {name: value.to(device) for name, value in state["params"].items()}
        layers = FrozenLayers.from_state(state.get("layers", ()), device)
        return cls(tensors, int(state["active_sh_degree"]), layers=layers)

    def _with_params(self, params: Mapping[str, Tensor]) -> GaussianModel:
        trainable = self.params["xyz"].requires_grad
        parameters = {name: nn.Parameter(value, requires_grad=trainable) for name, value in params.items()}
        return GaussianModel(parameters, self.active_sh_degree, self.motion, self.layers)


def _check_shapes(params: Mapping[str, Tensor]) -> None:
    """Raises ValueError at the first tensor that is missing or has another shape than documented."""
    missing = [name for name in PARAMETER_NAMES if name not in params]
    unknown = sorted(set(params) - {*PARAMETER_NAMES, FEATURE_NAME, CODE_NAME})
    if missing or unknown:
        raise ValueError(f"Gaussian parameters: missing {missing}, unknown {unknown}; expected {PARAMETER_NAMES}")
    count = params["xyz"].shape[0]
    for name, trailing in _TRAILING_SHAPES.items():
        if tuple(params[name].shape) != (count, *trailing):
            raise ValueError(f"parameter {name} has shape {tuple(params[name].shape)}; expected {(count, *trailing)}")
    allowed = [(count, (degree + 1) ** 2 - 1, 3) for degree in range(_MAX_DEGREE + 1)]
    if tuple(params["f_rest"].shape) not in allowed:
        raise ValueError(f"parameter f_rest has shape {tuple(params['f_rest'].shape)}; expected one of {allowed}")
    for name in (FEATURE_NAME, CODE_NAME):
        if name in params and (params[name].ndim != 2 or params[name].shape[0] != count):
            raise ValueError(f"parameter {name} has shape {tuple(params[name].shape)}; expected [{count}, D]")
