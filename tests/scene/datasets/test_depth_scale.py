"""scene/datasets/depth_scale.py and utils/make_depth_scale.py, on a procedural scene whose depth is known exactly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arguments import ModelParams
from examples.make_scene import SceneOptions, make
from scene import Scene
from scene.datasets import depth_scale
from scene.datasets.depths import FULL_SCALE
from tests.helpers import assert_one_line_error, run_script
from utils.errors import UserError
from utils.make_depth_scale import Options, align

SIZE = (64, 48)


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scene"
    make(SceneOptions("static", folder, size=SIZE, views=6, samples=1))
    return folder


def write_maps(scene: Path, folder: Path, is_depth: bool = False, factor: int = 1) -> dict[str, tuple[float, float]]:
    """Maps of each view with a scale and offset of its own; returns these."""
    folder.mkdir(parents=True)
    made = {}
    for number, path in enumerate(sorted((scene / "depth_gt").glob("*.npy"))):
        inverse = 1 / np.load(path)
        scale, offset = 0.7 + 0.1 * number, 0.02 * number - 0.05
        values = (inverse - offset) / scale / 4  # in 0..1
        values = 0.05 / inverse if is_depth else values
        pixels = np.clip(np.rint(values * FULL_SCALE), 0, 65535).astype(np.uint16)
        if factor != 1:
            image = Image.fromarray(values.astype(np.float32))
            image = image.resize((SIZE[0] * factor, SIZE[1] * factor), Image.Resampling.BILINEAR)
            pixels = np.clip(np.rint(np.asarray(image) * FULL_SCALE), 0, 65535).astype(np.uint16)
        Image.fromarray(pixels).save(folder / f"{path.stem}.png")
        made[path.stem] = (4 * scale, offset)
    return made


def copy_of(scene: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scene, tmp_path / "copy"))


def test_the_command_works(scene, tmp_path):
    root = copy_of(scene, tmp_path)
    write_maps(root, root / "depths")
    words = ("--base_dir", root, "--depths_dir", root / "depths", "--model_type", "bin")
    result = run_script("utils/make_depth_scale.py", *words)
    assert result.returncode == 0, result.stderr
    assert "6 of 6 maps aligned" in result.stdout and f"train.py -s {root} -d depths" in result.stdout
    assert len(json.loads((root / "sparse/0/depth_params.json").read_text())) == 6
    (root / "depths/view_002.png").write_bytes(b"no picture")
    assert_one_line_error(run_script("utils/make_depth_scale.py", *words), "view_002.png", "not a readable image")


@pytest.mark.parametrize("factor", [1, 2])
def test_scale_and_offset_are_found(scene, tmp_path, factor):
    root = copy_of(scene, tmp_path)
    made = write_maps(root, root / "depths", factor=factor)
    align(Options(root, root / "depths"))
    found = json.loads((root / "sparse/0/depth_params.json").read_text())
    assert set(found) == set(made)
    for name, (scale, offset) in made.items():
        assert found[name]["scale"] == pytest.approx(scale, rel=0.06)
        assert found[name]["offset"] == pytest.approx(offset, abs=0.03)


def test_training_sees_true_inverse_depths(scene, tmp_path):
    root = copy_of(scene, tmp_path)
    write_maps(root, root / "depths")
    align(Options(root, root / "depths"))
    opened = Scene.open(ModelParams(source_path=str(root), depths="depths"), "cpu")
    for camera in opened.train:
        found = opened.images.get(camera).inverse_depth
        true = torch.from_numpy(1 / np.load(root / "depth_gt" / f"{camera.image_name[:-4]}.npy"))
        assert float((found[0] - true).abs().median() / true.median()) < 0.05


def test_maps_of_depth_are_said_and_left_out(scene, tmp_path, capsys):
    root = copy_of(scene, tmp_path)
    write_maps(root, root / "depths", is_depth=True)
    align(Options(root, root / "depths"))
    assert "6 maps are larger where things are farther" in capsys.readouterr().err
    found = json.loads((root / "sparse/0/depth_params.json").read_text())
    assert all(entry == {"scale": 0.0, "offset": 0.0} for entry in found.values())


def test_images_without_a_map_are_said(scene, tmp_path, capsys):
    root = copy_of(scene, tmp_path)
    write_maps(root, root / "depths")
    (root / "depths/view_000.png").unlink()
    align(Options(root, root / "depths"))
    assert "1 images have no map (view_000.png)" in capsys.readouterr().err
    assert "view_000" not in json.loads((root / "sparse/0/depth_params.json").read_text())


def test_bad_input_is_said_and_writes_nothing(scene, tmp_path):
    root = copy_of(scene, tmp_path)
    for folder, part in ((tmp_path / "nowhere", "no such folder"), (tmp_path, "no map of any of the 6 .* view_00")):
        with pytest.raises(UserError, match=part):
            align(Options(root, folder))
    with pytest.raises(UserError, match="no sparse/0"):
        align(Options(tmp_path, root))
    write_maps(root, root / "depths")
    (root / "sparse/0/images.bin").write_bytes((root / "sparse/0/images.bin").read_bytes()[:-9])
    with pytest.raises(UserError, match="images.bin.*truncated"):
        align(Options(root, root / "depths"))
    assert not (root / "sparse/0/depth_params.json").exists()


def test_alignment_needs_enough_points_a_range_and_the_right_sense():
    inverse = np.linspace(0.1, 1.0, 11)
    found = depth_scale.aligned(inverse, (inverse - 0.3) / 2)
    assert (found.scale, found.offset) == (pytest.approx(2.0), pytest.approx(0.3))
    far = depth_scale.aligned(1e-4 * inverse, inverse)  # a scene in small units
    assert far.scale == pytest.approx(1e-4)
    for x, y in ((inverse[:10], inverse[:10]), (np.ones(11), inverse), (inverse, np.ones(11)), (inverse, -inverse)):
        assert depth_scale.aligned(x, y) == depth_scale.UNUSABLE


def test_a_tenth_of_wrong_points_moves_the_result_little():
    generator = np.random.default_rng(0)
    inverse = generator.uniform(0.2, 1.0, 200)
    relative = (inverse - 0.1) / 3
    relative[:20] = generator.uniform(0, 0.3, 20)
    found = depth_scale.aligned(inverse, relative)
    assert found.scale == pytest.approx(3.0, rel=0.1) and found.offset == pytest.approx(0.1, abs=0.06)
