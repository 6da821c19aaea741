"""training/resident_maps.py"""

from types import SimpleNamespace

import pytest
import torch

from training import resident_maps
from training.resident_maps import ResidentMaps, room_bytes

CPU = torch.device("cpu")
LSEG = torch.zeros(1, dtype=torch.float16).expand(512, 176, 240)  # counts as 43 MB, takes 2 bytes


class Reader:
    """Gives every view the same map; counts."""

    def __init__(self, rows: torch.Tensor = LSEG):
        self.rows, self.reads = rows, 0

    def __call__(self, camera) -> torch.Tensor:
        self.reads += 1
        return self.rows


def views(count: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(image_name=f"{i}.png") for i in range(count)]


def test_many_large_maps_stay_within_the_room():
    """200 LSeg maps would be 8.6 GB; a quarter of a GiB stays, whatever is asked for and how often."""
    read, cameras = Reader(), views(200)
    maps = ResidentMaps(read, CPU)
    for camera in cameras * 2:
        assert maps.get(camera).shape == (512, 176, 240)
    each = LSEG.numel() * 2
    kept = resident_maps.BYTES_ON_CPU // each
    assert maps.kept_bytes == kept * each <= 256 << 20
    assert read.reads == 200 + 200 - kept


def test_a_map_that_is_not_kept_is_read_once_an_iteration():
    read, (first, second) = Reader(torch.zeros(1, 2, 2)), views(2)
    maps = ResidentMaps(read, CPU, "disk")
    for camera in (first, first, second, second, first):
        maps.get(camera)
    assert read.reads == 3 and maps.kept_bytes == 0


@pytest.mark.parametrize("where", ["auto", "ram"])
def test_what_fits_is_read_once(where):
    read, cameras = Reader(torch.zeros(3, 2, 2)), views(5)
    maps = ResidentMaps(read, CPU, where)
    for camera in cameras * 3:
        maps.get(camera)
    assert read.reads == 5 and maps.kept_bytes == 5 * 3 * 4 * 4


def test_where_maps_may_stay(monkeypatch):
    monkeypatch.setattr(resident_maps, "ram_bytes", lambda: 1000)
    assert (room_bytes("disk", CPU), room_bytes("ram", CPU)) == (0, 500)
    assert room_bytes("auto", CPU) == resident_maps.BYTES_ON_CPU
    with pytest.raises(ValueError, match=r"--teacher_cache gpu, .* runs on cpu; .* use ram or disk"):
        room_bytes("gpu", CPU)
