"""The files of Feature 3DGS's LSeg script, and its command lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from encoders.cache import LegacyFolder
from encoders.lseg_net.feature3dgs_script import (
    LSegScriptOptions,
    MapWriter,
    encode_images,
    find_pictures,
    make_teacher,
)
from utils.errors import UserError
from utils.image_io import read_image, write_png
from utils.legend import MARGIN_PX, ROW_PX

pytest.importorskip("timm")
pytest.importorskip("open_clip")

FOLDER = Path(__file__).resolve().parents[3] / "encoders" / "lseg_encoder"
NAMES = ("wall", "sky", "cat")


def write_maps(folder: Path) -> tuple[np.ndarray, torch.Tensor]:
    """Maps of two pictures whose left half says `cat` and right half `wall`; class ids and features."""
    words = torch.eye(3, 5)
    ids = np.zeros((6, 8), np.uint8)
    ids[:, :4] = 2
    features = words[torch.from_numpy(ids).long()] * 3 + 0.01 * torch.rand(6, 8, 5)
    writer = MapWriter(folder, NAMES, words)
    for key in ("a", "b"):
        writer.write(key, np.full((30, 40, 3), 100, np.uint8), features)
    return ids, features


def test_maps_are_read_back_by_the_cache(tmp_path: Path) -> None:
    _, features = write_maps(tmp_path)
    maps = LegacyFolder.open(tmp_path)
    assert maps.names == ("a", "b") and maps.dim == 5
    assert torch.load(tmp_path / "a_fmap_CxHxW.pt", weights_only=True).dtype == torch.float16
    assert torch.allclose(maps.get("a.png").float(), features.permute(2, 0, 1), atol=1e-2)


def test_pictures_show_the_classes(tmp_path: Path) -> None:
    ids, _ = write_maps(tmp_path)
    with Image.open(tmp_path / "a.png") as mask:
        assert mask.mode == "P" and np.array_equal(np.asarray(mask), ids)
        colors = np.asarray(mask.convert("RGB"))
    vis = read_image(tmp_path / "a.png_vis.png")
    assert vis.shape == (6, 24, 3) and (vis[:, :8] == 100).all()
    assert np.array_equal(vis[:, 16:], colors)
    assert np.abs(vis[:, 8:16] - (0.4 * 100 + 0.6 * colors)).max() <= 0.5
    legend = read_image(tmp_path / "a.png_legend.png")
    assert legend.shape[0] == 2 * ROW_PX + 2 * MARGIN_PX  # two classes occur
    assert {tuple(color) for color in colors.reshape(-1, 3)} <= {tuple(color) for color in legend.reshape(-1, 3)}
    assert read_image(tmp_path / "a.png_feature_vis.png").shape == (6, 8, 3)
    assert (tmp_path / "pca.safetensors").is_file()


def test_too_many_classes_for_pictures_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="300 labels"):
        MapWriter(tmp_path, tuple(map(str, range(300))), torch.zeros(300, 4))


def test_only_pictures_of_the_folder_itself_are_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder of pictures"):
        find_pictures(tmp_path)
    for name in ("b.PNG", "a.jpg", "notes.txt", "deeper/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(find_pictures(tmp_path).paths) == ["a", "b"]


@pytest.mark.parametrize(("folder", "side"), [("x/Replica_Dataset/room0", 320), ("scannnet/1", 320), ("room", 480)])
def test_some_data_sets_are_worked_on_smaller(folder: str, side: int) -> None:
    teacher = make_teacher(LSegScriptOptions(folder, random_init=True, backbone="small"), normalise=False)
    assert teacher.long_side == side and teacher.options()["weights"] == "random" and not teacher.normalise


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_png(folder / "one.png", np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("script", ["encode_images.py", "encode_images_visfeature.py"])
def test_the_published_command_line_runs_where_it_did(script: str, pictures: Path, tmp_path: Path) -> None:
    words = "--backbone small --weights demo_e200.ckpt --widehead --no-scaleinv --workers 0 --random-init --no-cuda"
    command = [sys.executable, "-u", script, *words.split(), "--outdir", tmp_path, "--test-rgb-dir", pictures]
    result = subprocess.run([*map(str, command)], cwd=FOLDER, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "RANDOM" in result.stderr and "without effect: widehead, scaleinv" in result.stdout
    features = LegacyFolder.open(tmp_path).get("one.png")
    assert features.shape == (512, 24, 32)
    lengths = features.norm(dim=0)
    is_unit = torch.allclose(lengths, torch.ones(()), atol=1e-2)
    assert is_unit == ("visfeature" in script)
    assert F.cosine_similarity(features[:, 0, 0], features[:, 20, 30], dim=0) < 0.9999


def test_a_wrong_flag_is_one_line(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["encode_images.py", "--test-rgb-dir", str(pictures), "--wieghts", "x"])
    with pytest.raises(ValueError, match="did you mean '?--weights"):
        encode_images("LSeg", normalise=False)
