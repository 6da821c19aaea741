"""Which vision transformers there are: size, normalisation, licence, weight file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from encoders.timm_networks import create_network, import_timm
from encoders.weights import WeightFile
from utils.errors import UserError
from utils.progress import say, warn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TIMM_PREFIX = "timm:"
FREE_LICENCES = ("apache", "mit", "bsd")


@dataclass(frozen=True)
class PatchModel:
    """A network that makes one feature vector per patch."""

    timm_name: str
    dim: int
    patch: int  # px
    weights: tuple[WeightFile, ...]  # equivalent files: the authors', timm's
    licence: str
    mean: tuple[float, float, float] = IMAGENET_MEAN  # of pictures in 0..1
    std: tuple[float, float, float] = IMAGENET_STD
    native_positions: bool = False  # its own code resizes the position table differently from timm

    def say_licence(self) -> None:
        """Print the licence of the weights; warn unless it is a free one."""
        text = f"{self.timm_name}: licence of the weights: {self.licence or 'unknown'}"
        if self.licence.lower().startswith(FREE_LICENCES):
            say(text)
        else:
            warn(f"{text}; read it before you use or share what was made with them")


def _dinov2(size: str, dim: int, registers: bool, sha256: str) -> PatchModel:
    stem, suffix = f"dinov2_vit{size[0]}14", "_reg4" if registers else ""
    timm_name = f"vit_{size}_patch14{suffix}_dinov2"
    url = f"https://dl.fbaipublicfiles.com/dinov2/{stem}/{stem}{suffix}_pretrain.pth"
    files = WeightFile(f"{stem}{suffix}_pretrain.pth", url, sha256), _timm_file(f"{timm_name}.lvd142m")
    return PatchModel(timm_name, dim, 14, files, "apache-2.0", native_positions=not registers)


def _dinov3(size: str, dim: int, native: str) -> PatchModel:
    timm_name = f"vit_{size}_patch16_dinov3"
    authors = WeightFile(f"dinov3_{native}.pth", help="ai.meta.com/dinov3, on request")
    return PatchModel(timm_name, dim, 16, (authors, _timm_file(f"{timm_name}.lvd1689m")), "dinov3-license")


def _timm_file(name: str) -> WeightFile:
    return WeightFile(f"{name}.safetensors", hub=(f"timm/{name}", "model.safetensors"))


DINOV2 = {  # checksums: of the files at dl.fbaipublicfiles.com
    "vits14": _dinov2("small", 384, False, "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"),
    "vitb14": _dinov2("base", 768, False, "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"),
    "vitl14": _dinov2("large", 1024, False, "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"),
    "vitg14": _dinov2("giant", 1536, False, "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3"),
    "vits14_reg4": _dinov2("small", 384, True, "f433177089a681826f849f194ece3bb48f4d63fb38d32fc837e3dc7a4e5641fb"),
    "vitb14_reg4": _dinov2("base", 768, True, "73182a088cf94833c94b1666d1c99e02fe87e2007bff57b564fb6206e25dba71"),
    "vitl14_reg4": _dinov2("large", 1024, True, "36e4deffbaef061a2576705b0c36f93621e2ae20bf6274694821b0b492551b51"),
    "vitg14_reg4": _dinov2("giant", 1536, True, "746ecb8c6301c645c5c855be91687d274587d6e48fdaec4a729753160b34a283"),
}
DINOV3 = {
    "vits16": _dinov3("small", 384, "vits16_pretrain_lvd1689m-08c60483"),
    "vits16plus": _dinov3("small_plus", 384, "vits16plus_pretrain_lvd1689m-4057cbaa"),
    "vitb16": _dinov3("base", 768, "vitb16_pretrain_lvd1689m-73cec8be"),
    "vitl16": _dinov3("large", 1024, "vitl16_pretrain_lvd1689m-8aa4cbdd"),
    "vith16plus": _dinov3("huge_plus", 1280, "vith16plus_pretrain_lvd1689m-7c1da9a5"),
}


def find_model(name: str, known: dict[str, PatchModel]) -> PatchModel:
    """The model called `name` among the known ones, or timm's network for `timm:NAME`."""
    if name.startswith(TIMM_PREFIX):
        return timm_model(name.removeprefix(TIMM_PREFIX))
    if name not in known:
        listed = ", ".join(known)
        raise UserError(f"model is '{name}'; expected {listed} or {TIMM_PREFIX}NAME for a network of timm; change it")
    return known[name]


def timm_model(name: str) -> PatchModel:
    """Any network of timm, with or without the tag of its weights (`vit_small_patch16_224.dino`)."""
    timm = import_timm()
    with torch.device("meta"):  # its shape, no weights
        network = create_network(name, num_classes=0)
    published = timm.get_pretrained_cfg(name) or network.pretrained_cfg
    last = network.feature_info[-1]
    files = [_timm_file(published.hf_hub_id.removeprefix("timm/"))] if published.hf_hub_id else []
    if published.url or not files:
        files.append(WeightFile(Path(published.url or f"{name}.pth").name, published.url or ""))
    licence = published.license or ""
    dim = last.get("num_chs_norm", last["num_chs"])  # networks with a neck say both
    return PatchModel(name, dim, last["reduction"], tuple(files), licence, published.mean, published.std)
