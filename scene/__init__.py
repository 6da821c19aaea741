"""What a scene is: cameras, pictures, Gaussians, motion, checkpoints."""

from scene.cameras import Camera
from scene.gaussian_model import GaussianModel
from scene.image_store import GroundTruth, ImageStore
from scene.scene import Scene
from scene.scene_info import CameraInfo, DatasetError, PointCloud, SceneInfo

__all__ = [
    "Camera",
    "CameraInfo",
    "DatasetError",
    "GaussianModel",
    "GroundTruth",
    "ImageStore",
    "PointCloud",
    "Scene",
    "SceneInfo",
]
