"""What a training over frozen layers starts with: the layers, and whether its options fit the data."""

from __future__ import annotations

from arguments import ModelParams
from scene import Scene
from scene.gaussian_model import FEATURE_NAME, GaussianModel
from scene.image_store import has_transparency
from scene.layer_files import load_layers
from scene.layers import FrozenLayers
from training.distillation import Distiller
from utils.progress import say, warn


def over_layers(model: GaussianModel, path: str, distiller: Distiller | None) -> GaussianModel:
    """The model over the frozen layers that its checkpoint had, or else over those in the file `path`; says which."""
    layers = model.layers
    if not layers and path:
        layers = load_layers(path, model.device)
        if distiller is not None:
            layers = with_comparable_features(layers, distiller)
    if layers:
        say(f"layers: {layers.describe()}: drawn behind the new one, they stay as they are")
    return model.with_layers(layers)


def with_comparable_features(layers: FrozenLayers, distiller: Distiller) -> FrozenLayers:
    """The layers without features that mean something else than those to be trained; says so."""
    own = [layer.name for layer in layers if FEATURE_NAME in layer.tensors]
    if own and distiller.decoder is not None:
        warn(f"the features of {', '.join(own)} are dropped: another decoder belongs to them than to the new ones")
        return layers.without_features()
    lacking = [layer.name for layer in layers if not bool(layer.features(distiller.width).any())]
    if lacking:
        warn(f"{', '.join(lacking)}: no features {distiller.width} wide; they count as zero, train them with -f too")
    return layers


def warn_without_alpha(model: ModelParams, scene: Scene) -> None:
    """Say that --alpha_train does nothing with opaque images."""
    first = scene.train[0]
    if model.alpha_train and not model.flatten_alpha and not has_transparency(first):
        warn(f"--alpha_train has no effect: {first.image_name} has no transparency")
