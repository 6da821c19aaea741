import json

import numpy as np
import pytest
import torch

from encoders.base import EncodedMap, Placement
from encoders.cache import CacheFolder, CacheWriter, LegacyFolder, find_key

MAP = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)


def write(folder, **maps):
    writer = CacheWriter(folder, {"teacher": "test"})
    for key, features in maps.items():
        writer.add(EncodedMap(key, features))
    return writer.finish(maps)


def test_round_trip_in_half_precision(tmp_path):
    maps = write(tmp_path, a=MAP, train__b=MAP[:2])
    assert maps.dim == 3 and maps.names == ("a", "train__b")
    stored = CacheFolder.open(tmp_path).get("a.jpg")
    assert stored.shape == (3, 5, 7) and stored.dtype == torch.float16
    np.testing.assert_array_equal(stored.permute(1, 2, 0).numpy(), MAP.astype(np.float16))
    assert maps.get("train/b.png").shape == (3, 2, 7) and maps.has("b.png") and not maps.has("c.png")
    with pytest.raises(ValueError, match="no feature map for image 'c.png'"):
        maps.get("c.png")


def test_where_cells_lie(tmp_path):
    writer, odd = CacheWriter(tmp_path, {}), Placement(0.1, 0.2, 0.3, 0.4)
    writer.add(EncodedMap("a", MAP))
    writer.add(EncodedMap("b", MAP, odd))
    maps = writer.finish("ab")
    assert maps.placement("b.png") == odd
    assert maps.placement("a.png") == pytest.approx((0.5 / 7, 1 / 7, 0.5 / 5, 1 / 5))


def test_maps_of_two_widths_are_no_cache(tmp_path):
    with pytest.raises(ValueError, match=r"maps of \[2, 3\] channels"):
        write(tmp_path, a=MAP, b=MAP[..., :2])


def test_no_manifest_before_the_end(tmp_path):
    writer = CacheWriter(tmp_path, {})
    writer.add(EncodedMap("a", MAP))
    assert not (tmp_path / "manifest.json").exists()
    with pytest.raises(FileNotFoundError):
        CacheFolder.open(tmp_path)


@pytest.mark.parametrize(
    "bad", [np.full((2, 2, 3), np.nan), np.full((2, 2, 3), 1e6), np.zeros((2, 0, 4)), np.zeros((2, 3))]
)
def test_bad_maps_are_not_written(tmp_path, bad):
    with pytest.raises(ValueError, match="feature map of 'a'"):
        CacheWriter(tmp_path, {}).add(EncodedMap("a", bad))


def test_damaged_files_are_one_line(tmp_path):
    maps = write(tmp_path, a=MAP, b=MAP)
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:60])
    (tmp_path / "b.safetensors").unlink()
    for key in "ab":
        with pytest.raises(ValueError, match="not a readable feature map") as error:
            maps.get(key)
        assert "\n" not in str(error.value)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(ValueError, match="no manifest"):
        CacheFolder.open(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        CacheFolder.open(tmp_path)


def test_a_map_of_another_shape_than_the_manifest_says(tmp_path):
    maps = write(tmp_path, a=MAP)
    write(tmp_path / "other", a=MAP[:2])
    (tmp_path / "other/a.safetensors").rename(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"has shape \(2, 7, 3\); expected \(5, 7, 3\)"):
        maps.get("a")


def test_legacy_files_are_read_in_any_float_type(tmp_path):
    for name, dtype in (("0001", torch.float16), ("0002", torch.float32)):
        torch.save(torch.from_numpy(MAP).permute(2, 0, 1).to(dtype), tmp_path / f"{name}_fmap_CxHxW.pt")
    maps = LegacyFolder.open(tmp_path)
    assert maps.dim == 3 and maps.names == ("0001", "0002") and maps.get("0002.jpg").shape == (3, 5, 7)
    assert maps.get("0001.jpg").dtype == torch.float16


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


def test_bad_legacy_files_are_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = torch.zeros(3, 4, 5)
    bad = {"a": Bomb(), "b": torch.zeros(4, 5), "c": [1, 2], "d": torch.zeros(2, 4, 5), "e": good / 0, "f": good.long()}
    torch.save(good, tmp_path / "0_fmap_CxHxW.pt")
    for name, value in bad.items():
        torch.save(value, tmp_path / f"{name}_fmap_CxHxW.pt")
    torch.save(good, tmp_path / "g_fmap_CxHxW.pt")
    whole = (tmp_path / "g_fmap_CxHxW.pt").read_bytes()
    (tmp_path / "g_fmap_CxHxW.pt").write_bytes(whole[: len(whole) // 2])
    maps = LegacyFolder.open(tmp_path)
    messages = {
        "a": "Python objects",
        "b": r"\[C, h, w\]",
        "c": "list",
        "d": "2 channels",
        "e": "NaN",
        "f": "int64",
        "g": "trunc",
    }
    for name, message in messages.items():
        with pytest.raises(ValueError, match=message) as error:
            maps.get(name)
        assert "\n" not in str(error.value) and f"{name}_fmap" in str(error.value)
    assert not (tmp_path / "exploded").exists()


def test_folder_without_maps(tmp_path):
    (tmp_path / "notes.pt").touch()
    with pytest.raises(ValueError, match="_fmap_CxHxW.pt"):
        LegacyFolder.open(tmp_path)


def test_names_find_their_key_with_and_without_folder():
    names = ("train__r_0", "x")
    assert find_key("train/r_0.png", names) == "train__r_0"
    assert find_key("r_0.png", names) == "train__r_0"
    assert find_key("sub/x.png", names) == "x"
    assert find_key("r_0", ("train__r_0", "test__r_0")) is None
