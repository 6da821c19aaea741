"""Points that cameras far apart recognise: affine SIFT with colour.

Cameras of a rig often stand 30 degrees and more apart, where plain SIFT fails on floors and walls. ASIFT (Morel and Yu
2009) also looks at pictures squeezed as if seen at a slant; SIFT of the two colour channels of CIE Lab tells tiles and
shirts of equal shape apart (van de Sande et al. 2010). RootSIFT as Arandjelovic and Zisserman (2012).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

TILTS = (2.0,)  # of the squeezed pictures; 1 = as photographed comes first
TURN_STEP_DEG = 72.0  # between squeezing directions, divided by the tilt (ASIFT)
MAX_POINTS_PER_VIEW = 2500
COLOUR_WEIGHT = 0.7  # of each colour channel's descriptor against that of brightness
CONTRAST = 0.013  # SIFT's threshold, a third of OpenCV's: soft floors count too
MAX_SIDE_PX = 1280  # larger pictures are looked at in this size
RATIO = 0.8  # nearest over second nearest angle (Lowe 2004)
SAME_PLACE_PX = 4.0  # candidates this near to one another are one, found in several squeezed pictures
MERGE_PX = 1.0  # matched points nearer than this are one
CANDIDATES = 8  # nearest ones among which the second place is looked for
MARGIN_PX = 2.0


@dataclass(frozen=True, eq=False)
class Features:
    """Points of one picture."""

    pixels: np.ndarray  # [K, 2] float32 px, pixel centres at +0.5
    descriptors: np.ndarray  # [K, 384] float32, unit length

    def __len__(self) -> int:
        return len(self.pixels)


def detect(image: np.ndarray) -> Features:
    """Features of a picture, uint8 [H, W, 3] RGB."""
    scale = min(1.0, MAX_SIDE_PX / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]
    pixels, descriptors = [np.zeros((0, 2))], [np.zeros((0, 384))]
    for squeezed, to_squeezed in _squeezed_views(image):
        found, described = _sift(squeezed)
        placed = _transform(np.linalg.inv(to_squeezed), found)
        inside = ((placed > MARGIN_PX) & (placed < (width - 1 - MARGIN_PX, height - 1 - MARGIN_PX))).all(1)
        pixels.append(placed[inside] + 0.5)
        descriptors.append(described[inside])
    return Features((np.concatenate(pixels) / scale).astype(np.float32), np.concatenate(descriptors).astype(np.float32))


def match(first: Features, second: Features) -> np.ndarray:
    """Mutual nearest neighbours that no other place resembles as much, int64 [M, 2] indices."""
    if min(len(first), len(second)) <= 1:
        return np.zeros((0, 2), np.int64)
    likeness = torch.from_numpy(first.descriptors) @ torch.from_numpy(second.descriptors).T
    nearest = likeness.argmax(1)
    rows = torch.nonzero(likeness.argmax(0)[nearest] == torch.arange(len(first)))[:, 0]
    rows = rows[_is_distinct(likeness[rows], torch.from_numpy(second.pixels))]
    return torch.stack([rows, nearest[rows]], 1).numpy()


def _is_distinct(likeness: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Whether the best column of each row is much more alike than the best one elsewhere in the picture."""
    values, columns = likeness.topk(min(CANDIDATES, likeness.shape[1]), dim=1)
    away = (pixels[columns] - pixels[columns[:, :1]]).norm(dim=2) > SAME_PLACE_PX
    elsewhere = torch.where(away, values, -1.0).amax(1)
    second = torch.where(away.any(1), elsewhere, values[:, -1])  # all in one place: the others are below the last
    angles = torch.stack([values[:, 0], second]).clamp(-1, 1).acos()
    return angles[0] < RATIO * angles[1]


def _squeezed_views(image: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The picture and its squeezed versions, each with the map [3, 3] from its pixels (integer centres)."""
    yield image, np.eye(3)
    for tilt in TILTS:
        for angle_deg in np.arange(0.0, 180.0, TURN_STEP_DEG / tilt):
            yield _squeezed(image, tilt, np.radians(angle_deg))


def _squeezed(image: np.ndarray, tilt: float, angle_rad: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture turned and made narrower by `tilt`, and the map [3, 3] that did it."""
    height, width = image.shape[:2]
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cos, -sin], [sin, cos]])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ turn.T
    low = corners.min(0)
    columns, rows = np.ceil(corners.max(0) - low).astype(int)
    move = np.eye(3)
    move[:2, :2], move[:2, 2] = turn, -low
    turned = cv2.warpAffine(image, move[:2], (int(columns), int(rows)), borderMode=cv2.BORDER_REPLICATE)
    turned = cv2.GaussianBlur(turned, (0, 0), sigmaX=0.8 * np.sqrt(tilt**2 - 1), sigmaY=0.01)
    squeeze = np.diag([1 / tilt, 1.0, 1.0])
    size = (max(1, round(columns / tilt)), int(rows))
    return cv2.warpAffine(turned, squeeze[:2], size, borderMode=cv2.BORDER_REPLICATE), squeeze @ move


def _sift(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """SIFT points [K, 2] (integer pixel centres) with unit descriptors [K, 384] of brightness and colour."""
    sift = cv2.SIFT_create(MAX_POINTS_PER_VIEW, 3, CONTRAST, 10, 1.6, cv2.CV_32F, True)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    keypoints = sift.detect(grey, None)
    if not keypoints:
        return np.zeros((0, 2)), np.zeros((0, 384))
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
    channels = [(grey, 1.0), *((_stretched(lab[..., index]), COLOUR_WEIGHT) for index in (1, 2))]
    parts = [weight * _rooted(sift.compute(channel, keypoints)[1]) for channel, weight in channels]
    joined = np.concatenate(parts, axis=1)
    joined /= np.maximum(np.linalg.norm(joined, axis=1, keepdims=True), 1e-9)
    return np.array([point.pt for point in keypoints]), joined


def _stretched(channel: np.ndarray) -> np.ndarray:
    """A colour channel around 128 with twice the contrast, uint8."""
    return np.clip(2 * (channel.astype(np.int16) - 128) + 128, 0, 255).astype(np.uint8)


def _rooted(descriptors: np.ndarray) -> np.ndarray:
    return np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-9))


def _transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def merged_places(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points found in several squeezed pictures as one: mean pixels [P, 2], and which of them each input [K] is."""
    if len(pixels) == 0:
        return pixels, np.zeros(0, np.int64)
    pairs = cKDTree(pixels).query_pairs(MERGE_PX, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(pixels),) * 2)
    count, place = connected_components(links, directed=False)
    sums = np.stack([np.bincount(place, pixels[:, axis], count) for axis in (0, 1)], axis=1)
    return sums / np.bincount(place, minlength=count)[:, None], place
