"""Editing by words: which objects, what happens to them, and the edited model. No rendering and no words here.

The file format and the rules are those of Feature 3DGS's `--edit_config` (Zhou et al. 2024).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from scene.gaussian_model import GaussianModel
from scene.recoloring import Recolor, parse_recolor
from utils.errors import UserError

OPERATIONS = ("deletion", "extraction", "color_func")  # in the order of their application
REQUIRED = ("objects", "operations", "targets")
OPTIONAL = ("threshold", "colorFunc", "temperature", "canonical_negatives", "template")
CANONICAL_NEGATIVES = ("object", "things", "stuff", "texture")  # LERF's (Kerr et al. 2023)
MAX_FILE_BYTES = 1 << 16


@dataclass(frozen=True)
class Edit:
    """What a configuration asks for."""

    objects: tuple[str, ...]
    """Words that a Gaussian is shared out among."""
    operations: tuple[str, ...]
    """Some of OPERATIONS, as given."""
    targets: tuple[str, ...]
    """Those of the objects that are meant."""
    threshold: float | None = None
    """Probability of the targets from which a Gaussian belongs to them; None = the likeliest object decides."""
    recolor: Recolor | None = None
    """New colours, for color_func."""
    temperature: float = 1.0
    """Of the softmax over the cosines; at 1 all probabilities are close to one over the number of objects."""
    negatives: tuple[str, ...] = ()
    """Further words that a Gaussian can rather be."""
    template: str = "none"
    """Sentence around a word: a named set of templates, or a text with {}."""

    @property
    def names(self) -> tuple[str, ...]:
        """All words, in the order of the scores."""
        return self.objects + self.negatives

    @property
    def label(self) -> str:
        """First operation and first target, as folders are called."""
        return f"{self.operations[0]}_{re.sub(r'[^0-9A-Za-z-]+', '_', self.targets[0])}"


def load_edit(path: str | Path) -> Edit:
    """Read a YAML file with the key `edit`.

    Raises:
        UserError: one line about what is wrong in it.
    """
    section = _read_yaml(Path(path))
    section = section.get("edit") if isinstance(section, dict) else None
    if not isinstance(section, dict) or any(not section.get(key) for key in REQUIRED):
        raise UserError(f"{path}: expected the key 'edit' with {', '.join(REQUIRED)}; see configs/edit/")
    try:
        return _edit_of(section)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _read_yaml(path: Path) -> object:
    try:
        import yaml
    except ImportError:
        raise UserError("reading edit files needs PyYAML, which is missing; run: pip install pyyaml") from None
    data = path.read_bytes()
    try:
        return yaml.safe_load(data) if len(data) <= MAX_FILE_BYTES else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())[:120]}); mend it") from None


def _edit_of(section: dict) -> Edit:
    _check_keys(section)
    operations = _words(section["operations"], "operations")
    if unknown := set(operations) - set(OPERATIONS):
        raise UserError(f"operation {min(unknown)!r} is unknown; expected {', '.join(OPERATIONS)}")
    recolor = parse_recolor(section.get("colorFunc")) if "color_func" in operations else None
    edit = Edit(
        _words(section["objects"], "objects"),
        operations,
        _words(section["targets"], "targets"),
        _number(section.get("threshold"), "threshold"),
        recolor,
        _temperature(section.get("temperature")),
        _negatives(section.get("canonical_negatives")),
        _template(section.get("template")),
    )
    target_ids(edit.names, edit.targets)
    if edit.threshold is None and len(edit.names) == 1:
        raise UserError("one object and no threshold would take everything; add a threshold (a cosine) or objects")
    return edit


def _check_keys(section: dict) -> None:
    known = (*REQUIRED, *OPTIONAL)
    for key in section:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise UserError(f"key {key!r} is unknown; did you mean {near}? known: {', '.join(known)}")


def _words(value: object, key: str) -> tuple[str, ...]:
    """A list of texts, or one text with commas."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in items):
        raise UserError(f"{key} is {str(value)[:60]!r}; expected words, as a list or with commas between")
    words = tuple(item.replace("_", " ").strip() if key != "operations" else item.strip() for item in items)
    if len(set(words)) != len(words):
        raise UserError(f"{key} has a word twice: {', '.join(words)[:80]}; expected each once")
    return words


def _number(value: object, key: str) -> float | None:
    if value is None or value == "":
        return None
    if type(value) not in (int, float) or not math.isfinite(value):
        raise UserError(f"{key} is {value!r}; expected a number or nothing")
    return float(value)


def _temperature(value: object) -> float:
    number = _number(value, "temperature")
    if number is not None and number <= 0:
        raise UserError(f"temperature is {number}; expected more than 0; 1 is Feature 3DGS's, 0.05 is sharp")
    return 1.0 if number is None else number


def _negatives(value: object) -> tuple[str, ...]:
    if value is True:
        return CANONICAL_NEGATIVES
    return _words(value, "canonical_negatives") if value else ()


def _template(value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise UserError(f"template is {value!r}; expected none, simple, or a text with {{}}")
    return value or "none"


def target_ids(names: Sequence[str], targets: Sequence[str]) -> list[int]:
    """Index of each target among the names; `_` and capital letters make no difference."""
    index = {plain(name): i for i, name in reversed(list(enumerate(names)))}
    for target in targets:
        if plain(target) not in index:
            raise UserError(f"target {target!r} is none of the objects; there are {', '.join(names)}; name one of them")
    return [index[plain(target)] for target in targets]


def plain(name: str) -> str:
    """A name as it is compared."""
    return name.replace("_", " ").strip().lower()


def class_probabilities(
    cosines: Tensor,  # [N, K], all zero for a Gaussian that was never seen
    temperature: float = 1.0,
) -> Tensor:
    """Softmax over the objects, [N, K]; zeros for a Gaussian that was never seen. One object keeps its cosine."""
    if cosines.shape[1] == 1:
        return cosines
    seen = (cosines != 0).any(1, keepdim=True)
    return torch.softmax(cosines / temperature, dim=1) * seen


def belongs(
    scores: Tensor,  # [N, K] probabilities, or [N, 1] cosines
    positive: Sequence[int],
    threshold: float | None,
    or_likeliest: bool = False,
) -> Tensor:
    """Gaussians [N] bool that are one of the `positive` objects.

    With a threshold: their joint probability reaches it, or else (`or_likeliest`) one of them is the likeliest object.
    Without: one of them is the likeliest. A single object has nothing to be likelier than.
    """
    columns = torch.tensor(sorted(set(positive)), device=scores.device)
    joint = scores[:, columns].sum(1)
    likeliest = torch.isin(scores.argmax(1), columns) & (scores != 0).any(1)
    if threshold is None:
        return likeliest
    reached = joint >= threshold
    return reached | likeliest if or_likeliest and scores.shape[1] > 1 else reached


def selections(edit: Edit, scores: Tensor, positive: Sequence[int]) -> dict[str, Tensor]:
    """Operation -> Gaussians [N] bool that it is about, in the order of application."""
    return {
        operation: belongs(scores, positive, edit.threshold, or_likeliest=operation == "deletion")
        for operation in OPERATIONS
        if operation in edit.operations
    }


def apply_edit(model: GaussianModel, chosen: dict[str, Tensor], recolor: Recolor | None = None) -> GaussianModel:
    """A new model: without the deleted, with nothing but the extracted, and with new colours of the coloured.

    Leaving Gaussians out renders what opacities of zero would.
    """
    keep = torch.ones(model.num_gaussians, dtype=torch.bool, device=model.device)
    if "deletion" in chosen:
        keep &= ~chosen["deletion"]
    if "extraction" in chosen:
        keep &= chosen["extraction"]
    if "color_func" in chosen and recolor is not None:
        model = recolored(model, chosen["color_func"], recolor)
    return model.subset(keep)


def recolored(model: GaussianModel, mask: Tensor, recolor: Recolor) -> GaussianModel:
    """A new model with other colours of the Gaussians in `mask` [N]."""
    sh = model.sh.detach().clone()
    sh[mask] = recolor(sh[mask])
    params = {name: value.detach() for name, value in model.params.items()}
    params |= {"f_dc": sh[:, :1].contiguous(), "f_rest": sh[:, 1:].contiguous()}
    fixed = {name: nn.Parameter(value, requires_grad=False) for name, value in params.items()}
    return GaussianModel(fixed, model.active_sh_degree, model.motion.recolored(mask, recolor))
