"""Teacher maps in memory: kept as far as there is room for them, else read every time they are needed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scene.cameras import Camera
from scene.image_store import ram_bytes
from utils.errors import UserError

GPU_SHARE = 0.25  # of the free GPU memory, with `auto`
GPU_SHARE_ASKED = 0.8  # with `gpu`
RAM_SHARE_ASKED = 0.5  # of the main memory, with `ram`
BYTES_ON_CPU = 256 << 20  # with `auto`: the operating system caches files anyway


class ResidentMaps:
    """Maps of views, read when first asked for.

    Args:
        read: camera -> its map, checked and as compact as it may be.
        device: where maps are delivered.
        where: `--teacher_cache`.
    """

    def __init__(self, read: Callable[[Camera], Tensor], device: torch.device, where: str = "auto"):
        self._read, self._device = read, device
        self._place = torch.device("cpu") if where == "ram" else device
        self._kept: dict[str, Tensor] = {}
        self._room = room_bytes(where, device)
        self._latest: tuple[str, Tensor] | None = None  # not kept, but asked for several times in one iteration

    @property
    def kept_bytes(self) -> int:
        """Size of all maps that are kept."""
        return sum(_num_bytes(rows) for rows in self._kept.values())

    def get(self, camera: Camera) -> Tensor:
        """The map of a view, on the device."""
        name = camera.image_name
        if name in self._kept:
            return self._kept[name].to(self._device, non_blocking=True)
        if self._latest is not None and self._latest[0] == name:
            return self._latest[1]
        self._latest = None  # before the next one is read: two are never needed
        rows = self._read(camera)
        if _num_bytes(rows) <= self._room:
            self._kept[name] = rows.to(self._place)
            self._room -= _num_bytes(rows)
            return self._kept[name].to(self._device)
        self._latest = (name, rows.to(self._device))
        return self._latest[1]


def room_bytes(where: str, device: torch.device) -> int:
    """How many bytes of maps may stay in memory.

    Raises:
        UserError: `gpu` is asked for and the training does not run on one.
    """
    if where == "disk":
        return 0
    if where == "ram":
        return int(RAM_SHARE_ASKED * ram_bytes())
    if device.type == "cuda":
        share = GPU_SHARE_ASKED if where == "gpu" else GPU_SHARE
        return int(share * torch.cuda.mem_get_info(device)[0])
    if where == "gpu":
        raise UserError(f"--teacher_cache gpu, but the training runs on {device}; expected a GPU; use ram or disk")
    return BYTES_ON_CPU


def _num_bytes(rows: Tensor) -> int:
    return rows.numel() * rows.element_size()
