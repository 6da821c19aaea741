"""What a user points at in one view, as queries: clicks, and boxes of which what they surround is meant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from utils.errors import UserError
from utils.kmeans import spherical_kmeans

WINDOW_RADIUS_PX = 2  # 5x5 pixels around a click
SAME_SURFACE = 0.05  # relative difference of depth within which two pixels count as one surface
MIN_ALPHA = 0.1  # below it there is nothing to click on
SOLID_ALPHA = 0.5  # pixels that count as showing something inside and around a box
MARGIN = 0.5  # of the box's size on each side: the surroundings that a box is compared with
PROTOTYPES = 16  # kinds of features told apart in and around a box
PURE = 2 / 3  # share of a kind's density that must lie inside for it to belong to what the box surrounds
ALIKE = 0.8  # cosine from which two kinds count as parts of one thing
MIN_GROUP = 0.5  # of the pixels of the largest thing in the box; what is smaller only peeks in
EPS = 1e-8

Point = tuple[int, int]  # (x, y) = (column, row) in pixels
Box = tuple[int, int, int, int]  # (x1, y1, x2, y2) in pixels, the far edges not included


@dataclass(frozen=True)
class Surface:
    """What one view shows, pixel by pixel."""

    features: Tensor  # [D, H, W] blended
    alpha: Tensor  # [1, H, W]
    depth: Tensor  # [1, H, W] of the median Gaussians, 0 = none
    ids: Tensor  # [H, W] the median Gaussians, -1 = none

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.alpha.shape[2], self.alpha.shape[1]


@dataclass(frozen=True)
class Prompt:
    """What the user asked for, in feature space and in the scene."""

    positive: Tensor  # [P, D] unit queries
    negative: Tensor  # [M, D] unit queries, M may be 0
    seeds: Tensor  # [S] indices of the Gaussians that were pointed at, S may be 0
    excluded: Tensor | None = None  # [N] bool: Gaussians that cannot be meant


def click_prompt(surface: Surface, points: Sequence[Point], negative: Sequence[Point]) -> Prompt:
    """Queries and seeds of positive and negative clicks in one view."""
    none = surface.features.new_zeros(0, len(surface.features))
    queries, against = (
        torch.stack([click_query(surface, point) for point in group]) if group else none for group in (points, negative)
    )
    seeds = [clicked_gaussians(surface, point) for point in points]
    return Prompt(queries, against, torch.cat([surface.ids.new_zeros(0, dtype=torch.long), *seeds]))


def joined_prompt(prompts: Sequence[Prompt]) -> Prompt:
    """What several views ask for, as one; a Gaussian that any of them excludes cannot be meant."""
    names = ("positive", "negative", "seeds")
    joined = (torch.cat([getattr(prompt, name) for prompt in prompts]) for name in names)
    excluded = [prompt.excluded for prompt in prompts if prompt.excluded is not None]
    return Prompt(*joined, excluded=torch.stack(excluded).any(0) if excluded else None)


def check_point(point: Point, size: tuple[int, int]) -> None:
    """Refuse a pixel outside the image of (width, height) `size`."""
    (x, y), (width, height) = point, size
    if not (0 <= x < width and 0 <= y < height):
        raise UserError(f"point {x} {y} is outside the image; expected 0..{width - 1} 0..{height - 1}; x is the column")


def click_query(surface: Surface, point: Point) -> Tensor:
    """Unit query [D]: mean of the features in a window around the click, near the click in space as well.

    Pixels count by a Gaussian of their distance (sigma = half the window) and by alpha, and only when they lie on the
    clicked surface, so that a click next to an edge does not mix in what is behind it.

    Raises:
        UserError: the click is outside the image or on nothing.
    """
    check_point(point, surface.size)
    (x, y), alpha = point, surface.alpha
    if alpha[0, y, x] < MIN_ALPHA:
        raise UserError(f"point {x} {y} shows nothing (alpha {float(alpha[0, y, x]):.2f}); click on the object")
    rows, columns = _window(point)
    weight = _distance_weight(rows, columns, point, alpha) * alpha[0, rows, columns] * _near(surface, point)
    window = surface.features[:, rows, columns] / alpha[0, rows, columns].clamp_min(MIN_ALPHA)
    return F.normalize((window * weight).sum((1, 2)) / weight.sum(), dim=0, eps=EPS)


def clicked_gaussians(surface: Surface, point: Point) -> Tensor:
    """Indices [S] of the Gaussians that make the clicked surface: the medians in the window, at its depth."""
    ids = surface.ids[_window(point)][_near(surface, point)].long()
    return ids[ids >= 0].unique()


def _window(point: Point) -> tuple[slice, slice]:
    x, y = point
    first_row, first_column = max(0, y - WINDOW_RADIUS_PX), max(0, x - WINDOW_RADIUS_PX)
    return slice(first_row, y + WINDOW_RADIUS_PX + 1), slice(first_column, x + WINDOW_RADIUS_PX + 1)


def _near(surface: Surface, point: Point) -> Tensor:
    """Which pixels [h, w] of the window lie on the clicked surface."""
    centre = surface.depth[0, point[1], point[0]]
    return (surface.depth[0][_window(point)] - centre).abs() <= SAME_SURFACE * centre.abs()


def _distance_weight(rows: slice, columns: slice, point: Point, like: Tensor) -> Tensor:
    x, y = point
    dy = torch.arange(like.shape[1], device=like.device)[rows] - y
    dx = torch.arange(like.shape[2], device=like.device)[columns] - x
    return torch.exp(-2.0 * (dy[:, None] ** 2 + dx[None, :] ** 2) / WINDOW_RADIUS_PX**2)


def box_regions(boxes: Sequence[Box], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels [H, W] bool inside any of the boxes, and those around them: within half a box's size, in no box.

    Raises:
        UserError: a box is empty, inverted or outside the image.
    """
    width, height = size
    inside = torch.zeros(height, width, dtype=torch.bool)
    near = inside.clone()
    for x1, y1, x2, y2 in boxes:
        if not (x1 < x2 and y1 < y2):
            raise UserError(f"box {x1} {y1} {x2} {y2} is empty; expected X1 < X2 and Y1 < Y2; swap its corners")
        if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
            raise UserError(f"box {x1} {y1} {x2} {y2} leaves the image; expected it within 0 0 {width} {height}")
        inside[y1:y2, x1:x2] = True
        dx, dy = (math.ceil(MARGIN * side) for side in (x2 - x1, y2 - y1))
        near[max(0, y1 - dy) : y2 + dy, max(0, x1 - dx) : x2 + dx] = True
    return inside, near & ~inside


def box_prompt(surface: Surface, boxes: Sequence[Box], clicks: Prompt | None = None) -> Prompt:
    """Queries for what the boxes surround: the kinds of features that are dense inside and rare around them.

    A thing that a box was drawn around ends inside it, while what stands behind or beside goes on outside. The kinds
    are the prototypes of a k-means over the pixels in and around the boxes; those that end inside are the positive
    queries, those that go on are the negative ones. When nothing ends inside, the most frequent kind is meant.
    With `clicks` these say what is meant, and the boxes only what is not.
    """
    inside, around = (region.to(surface.alpha.device) for region in box_regions(boxes, surface.size))
    solid = (surface.alpha[0] > SOLID_ALPHA) & (surface.depth[0] > 0)
    if not (inside & solid).any():
        raise UserError(f"box {' '.join(map(str, boxes[0]))} shows nothing; expected a box around the object")
    pixels = F.normalize(surface.features[:, (inside | around) & solid].T, dim=1, eps=EPS)  # [P, D]
    prototypes = spherical_kmeans(pixels, PROTOTYPES)
    kinds = (pixels @ prototypes.T).argmax(1)
    within = inside[(inside | around) & solid]
    counts = [torch.bincount(kinds[part], minlength=len(prototypes)) for part in (within, ~within)]
    meant, others = _kinds_inside(*counts, (int(inside.sum()), int(around.sum())), prototypes)
    if clicks is not None:
        others[(prototypes @ clicks.positive.T).argmax(0)] = False
        return replace(clicks, negative=torch.cat([clicks.negative, prototypes[others]]))
    ids = surface.ids[inside & solid][meant[kinds[within]]].long()
    return Prompt(prototypes[meant], prototypes[others], ids[ids >= 0].unique())


def _kinds_inside(
    counts_in: Tensor, counts_out: Tensor, areas: tuple[int, int], prototypes: Tensor
) -> tuple[Tensor, Tensor]:
    """Which kinds [K] bool are meant, and which go on outside, from their pixels in both regions of these areas.

    Kinds that end inside and are alike count together; the largest such thing is meant, and any of about its size.
    """
    density_in, density_out = counts_in / areas[0], counts_out / max(areas[1], 1)
    purity = density_in / (density_in + density_out).clamp_min(EPS)
    pure = (purity >= PURE) & (counts_in > 0)
    if not pure.any():
        pure[counts_in.argmax()] = True
    alike = (prototypes @ prototypes.T >= ALIKE) & pure & pure[:, None]
    groups = torch.from_numpy(connected_components(alike.cpu().numpy())[1]).to(counts_in.device)
    together = torch.zeros_like(counts_in).index_add_(0, groups, counts_in * pure)[groups]
    return pure & (together >= MIN_GROUP * together.max()), ~pure & (purity < 0.5)
