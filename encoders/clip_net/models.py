"""The published models and their files."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from encoders.weights import WeightFile
from utils.errors import UserError

OPENAI = "https://openaipublic.azureedge.net/clip/models"


@dataclass(frozen=True)
class ClipModel:
    """One model: its width and where its weights are."""

    dim: int
    """C, width of the space that pictures and words share."""
    repository: str
    """On the Hugging Face hub, as open_clip writes it."""
    file: str
    """OpenAI's own, a TorchScript archive."""
    sha256: str
    """Of that."""

    @property
    def files(self) -> tuple[WeightFile, WeightFile]:
        """Both forms, of the same numbers."""
        name = f"{self.repository.split('/')[1]}.safetensors"
        hub = WeightFile(name, hub=(self.repository, "open_clip_model.safetensors"))
        return hub, WeightFile(self.file, f"{OPENAI}/{self.sha256}/{self.file}", self.sha256)


MODELS = {
    "ViT-B-32": ClipModel(
        512,
        "timm/vit_base_patch32_clip_224.openai",
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    ),
    "ViT-B-16": ClipModel(
        512,
        "timm/vit_base_patch16_clip_224.openai",
        "ViT-B-16.pt",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    ),
    "ViT-L-14": ClipModel(
        768,
        "timm/vit_large_patch14_clip_224.openai",
        "ViT-L-14.pt",
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    ),
    "ViT-L-14-336": ClipModel(
        768,
        "timm/vit_large_patch14_clip_336.openai",
        "ViT-L-14-336px.pt",
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    ),
    "RN50x16": ClipModel(
        768,
        "timm/resnet50x16_clip.openai",
        "RN50x16.pt",
        "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
    ),
}


def config_name(model: str) -> str:
    """open_clip's name of a model with OpenAI's activation; under the plain name it would quietly use another one."""
    return f"{model}-quickgelu"


def import_open_clip() -> ModuleType:
    """The open_clip package; it takes seconds to import, so this is done where it is used."""
    try:
        import open_clip
    except ModuleNotFoundError as error:
        raise UserError("CLIP needs open_clip, which is missing; run: pip install open_clip_torch") from error
    return open_clip
