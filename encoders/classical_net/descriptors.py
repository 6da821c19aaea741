"""Superpixels and position-free descriptors of one picture.

Three blocks per pixel: smoothed LAB; LAB mean and standard deviation at three sizes; Gabor energies at four octaves,
made rotation-invariant by the magnitudes of their Fourier transform over orientation. Only their averages over
superpixels and their first two moments leave this module: standardising and PCA are linear, so both can be applied to
the averages.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import csr_matrix
from skimage.segmentation import slic

from utils.image_io import resize_uint8

REFERENCE_SIDE = 960.0  # px, long side at which the sizes below hold
SEGMENTS = 700
COMPACTNESS = 10.0
SLIC_SIGMA = 1.5
COLOUR_SIGMA = 1.0
STATISTIC_SIGMAS = (3.0, 8.0, 20.0)
NUM_OCTAVES, NUM_ORIENTATIONS = 4, 6
GABOR_SIGMA, GABOR_WAVELENGTH = 2.0, 4.0  # px at the octave's own resolution
GABOR_TAPS = 11
ENERGY_GAIN = 20.0
BLOCK_SIZES = (3, 6 * len(STATISTIC_SIGMAS), 9 * NUM_OCTAVES)
MIN_ALPHA = 128  # pixels below are no part of the scene
MOMENT_STRIDE = 4  # every 4th pixel each way is enough for mean and covariance
LAB_SCALE = np.array([100.0, 100.0, 100.0], np.float32)


@dataclass(frozen=True)
class Regions:
    """What the graph needs to know of one picture."""

    labels: np.ndarray  # [h, w] int32 superpixel of every pixel at working size, -1 = transparent
    descriptors: np.ndarray  # [R, F] averages over superpixels
    edges: np.ndarray  # [E, 2] int32 neighbouring superpixels, first < second
    moments: np.ndarray  # [1 + F + F * F] float64: count, sum, sum of outer products of a pixel sample


def describe(image: np.ndarray, working_side: int, segments: int = SEGMENTS) -> Regions:
    """Superpixels with descriptors.

    Args:
        image: uint8 [H, W, 3 | 4]; transparent pixels are left out.
        working_side: the long side is resized to this, px.
        segments: superpixels wanted.
    """
    height, width = image.shape[:2]
    scale = working_side / max(height, width)
    image = resize_uint8(image, max(1, round(width * scale)), max(1, round(height * scale)))
    solid = image[..., 3] >= MIN_ALPHA if image.shape[2] == 4 else np.ones(image.shape[:2], bool)
    rgb = np.where(solid[..., None], image[..., :3], 128).astype(np.uint8)
    size = working_side / REFERENCE_SIDE  # all lengths follow the working size
    labels = _superpixels(rgb, solid, segments, max(SLIC_SIGMA * size, 0.5))
    blocks = pixel_descriptors(rgb, size)
    return Regions(labels, _averages(blocks, labels), _neighbours(labels), _moments(blocks, solid))


def _superpixels(rgb: np.ndarray, solid: np.ndarray, segments: int, sigma: float) -> np.ndarray:
    labels = slic(rgb, n_segments=segments, compactness=COMPACTNESS, sigma=sigma, start_label=0, channel_axis=-1)
    labels = np.where(solid, labels, -1)
    used, compact = np.unique(labels, return_inverse=True)
    return (compact.reshape(labels.shape) - (1 if used[0] < 0 else 0)).astype(np.int32)


def pixel_descriptors(rgb: np.ndarray, size: float) -> list[np.ndarray]:
    """All descriptors in order, as float32 parts [h, w, k], 57 channels together; `size` scales the filters."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / LAB_SCALE
    parts = [_blur(lab, COLOUR_SIGMA * size)]
    for sigma in STATISTIC_SIGMAS:
        mean = _blur(lab, sigma * size)
        variance = _blur(lab * lab, sigma * size) - mean * mean
        parts += [mean, np.sqrt(np.maximum(variance, 0))]
    return parts + [_gabor_block(lab, octave, size) for octave in range(NUM_OCTAVES)]


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REFLECT_101)


def _gabor_block(lab: np.ndarray, octave: int, size: float) -> np.ndarray:
    """Rotation-invariant energies of one octave, [h, w, 9]: orientation mean and two Fourier magnitudes per channel."""
    height, width = lab.shape[:2]
    factor = 2.0**-octave / max(size, 0.5)
    small_size = max(round(width * min(factor, 1.0)), 8), max(round(height * min(factor, 1.0)), 8)
    small = cv2.resize(lab, small_size, interpolation=cv2.INTER_AREA)
    energies = np.log1p(ENERGY_GAIN * gabor_energies(small))  # [6, h', w', 3]
    turns = 2 * np.pi * np.arange(NUM_ORIENTATIONS) / NUM_ORIENTATIONS
    parts = [energies.mean(axis=0)]
    for frequency in (1, 2):
        cosine = np.tensordot(np.cos(frequency * turns).astype(np.float32), energies, 1)
        sine = np.tensordot(np.sin(frequency * turns).astype(np.float32), energies, 1)
        parts.append(_magnitude(cosine, sine) / NUM_ORIENTATIONS)
    return cv2.resize(np.concatenate(parts, axis=2), (width, height), interpolation=cv2.INTER_LINEAR)


def gabor_energies(image: np.ndarray) -> np.ndarray:
    """Magnitudes of complex Gabor filters at 6 orientations over half a turn, [6, h, w, 3].

    The round envelope makes each filter a sum of products of 1-D filters; orientations a and pi - a share them.
    """
    x = np.arange(GABOR_TAPS) - GABOR_TAPS // 2
    envelope = np.exp(-(x**2) / (2 * GABOR_SIGMA**2))
    envelope /= envelope.sum()
    energies = np.empty((NUM_ORIENTATIONS, *image.shape), np.float32)
    for index in range(NUM_ORIENTATIONS // 2 + 1):
        angle = np.pi * index / NUM_ORIENTATIONS
        rate = 2 * np.pi / GABOR_WAVELENGTH * np.array([np.cos(angle), np.sin(angle)])
        wave_x, wave_y = (envelope * np.exp(1j * r * x) for r in rate)
        wave_x, wave_y = _zero_mean(wave_x, envelope), _zero_mean(wave_y, envelope)
        pairs = ((wave_x.real, wave_y.real), (wave_x.imag, wave_y.imag), (wave_x.real, wave_y.imag),
                 (wave_x.imag, wave_y.real))  # fmt: skip
        cc, ss, cs, sc = (cv2.sepFilter2D(image, cv2.CV_32F, row, column) for row, column in pairs)
        energies[index] = _magnitude(cc - ss, cs + sc)
        energies[-index % NUM_ORIENTATIONS] = _magnitude(cc + ss, cs - sc)
    return energies


def _magnitude(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(a * a + b * b)  # several times faster than np.hypot; nothing overflows here


def _zero_mean(wave: np.ndarray, envelope: np.ndarray) -> np.ndarray:
    """Remove the constant's response, except of the unmodulated envelope itself."""
    mean = wave.sum()
    return wave if abs(mean) > 0.5 else wave - mean * envelope


def _averages(parts: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    flat = labels.reshape(-1)
    inside = np.flatnonzero(flat >= 0)
    count = int(flat.max()) + 1
    ones = np.ones(len(inside), np.float32)
    members = csr_matrix((ones, (flat[inside], inside)), shape=(count, flat.size))
    sizes = np.bincount(flat[inside], minlength=count)[:, None]
    return np.concatenate([members @ part.reshape(flat.size, -1) / sizes for part in parts], axis=1)


def _neighbours(labels: np.ndarray) -> np.ndarray:
    pairs = [np.stack([labels[:, :-1], labels[:, 1:]], -1), np.stack([labels[:-1], labels[1:]], -1)]
    pairs = np.concatenate([pair.reshape(-1, 2) for pair in pairs])
    pairs = np.sort(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs >= 0).all(1)], axis=1)
    return np.unique(pairs, axis=0).astype(np.int32)


def _moments(parts: list[np.ndarray], solid: np.ndarray) -> np.ndarray:
    step = (slice(None, None, MOMENT_STRIDE),) * 2
    sample = np.concatenate([part[step] for part in parts], axis=2)[solid[step]].astype(np.float64)
    return np.concatenate([[len(sample)], sample.sum(0), (sample.T @ sample).reshape(-1)])
