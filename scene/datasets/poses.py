"""Camera poses from files: checks and axis changes."""

from __future__ import annotations

import numpy as np

from scene.scene_info import DatasetError

RIGID_TOLERANCE = 1e-2
"""How far R^T R may be from the identity; smaller errors are rounding and are mended."""
_NEGLIGIBLE = 1e-9


def rotation_from_quaternion(quaternion_wxyz: np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] of a quaternion [4] of any positive length."""
    w, x, y, z = quaternion_wxyz / np.linalg.norm(quaternion_wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def world_to_camera_from_opengl(camera_to_world: object, source: str) -> np.ndarray:
    """World-to-camera [4, 4] in OpenCV axes from camera-to-world in OpenGL axes (y up, z backwards).

    Args:
        camera_to_world: nested lists, 4x4 or 3x4, as in NeRF's `transform_matrix`.
        source: file and frame, for messages.
    """
    try:
        matrix = np.array(camera_to_world, np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape == (3, 4):
        matrix = np.vstack((matrix, [0.0, 0.0, 0.0, 1.0]))
    if matrix.shape != (4, 4):
        raise DatasetError(f"{source}: transform_matrix is not 4x4 numbers; regenerate the file")
    matrix[:3, 1:3] *= -1
    return invert_pose(checked_pose(matrix, source))


def checked_pose(matrix: np.ndarray, source: str) -> np.ndarray:
    """The pose [4, 4] with its rotation made exactly orthogonal.

    Raises:
        DatasetError: the matrix is not finite, or no rotation and translation.
    """
    if not np.isfinite(matrix).all():
        raise DatasetError(f"{source}: the pose holds NaN or infinite values; expected numbers, remove this image")
    rotation = matrix[:3, :3]
    error = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if error > RIGID_TOLERANCE or np.linalg.det(rotation) < 0 or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise DatasetError(
            f"{source}: the pose is not rigid (|R^T R - 1| = {error:.2g}, det R = {np.linalg.det(rotation):.2g}); "
            "expected a rotation and a translation, no scale or mirror image"
        )
    if error <= _NEGLIGIBLE:
        return matrix
    left, _, right = np.linalg.svd(rotation)
    mended = matrix.copy()
    mended[:3, :3] = left @ right
    return mended


def invert_pose(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a rigid [4, 4] matrix."""
    inverse = np.eye(4)
    inverse[:3, :3] = matrix[:3, :3].T
    inverse[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return inverse
