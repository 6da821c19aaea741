"""train.py, render.py and metrics.py with exposures, masks, transparency and the second strategy, end to end."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import ndraster
import numpy as np
import pytest
import torch
from PIL import Image

import metrics
import render
import train
from arguments import ModelParams, load_config
from examples.make_scene import SceneOptions, make
from gaussian_renderer import RenderSettings
from gaussian_renderer import render as render_view
from gaussian_renderer.trained import open_trained
from scene.exposure import Exposures, exposed
from scene.formats.ply import read_ply
from tests.scene.datasets.test_depth_scale import write_maps
from utils.image_io import read_image, to_float, write_png
from utils.make_depth_scale import Options, align

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
DEVICE = ["--device", "cpu", "--backend", BACKEND]
FAST = f"--eval --init_count 150 --sh_degree 0 --test_iterations -1 --quiet {' '.join(DEVICE)}".split()
SCHEDULE = ["--densify_from_iter", "5", "--densification_interval", "5", "--opacity_reset_interval", "12"]
MCMC = ["--densification", "mcmc", "--densify_from_iter", "5", "--densification_interval", "5"]
SIZE = (24, 18)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Scenes are so small that more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def rgba(tmp_path_factory) -> Path:
    """NeRF-synthetic pictures with alpha."""
    folder = tmp_path_factory.mktemp("data") / "rgba"
    make(SceneOptions("static_blender", folder, size=SIZE, views=8))
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A COLMAP scene; every other picture is darker and bluer than it should be."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    make(SceneOptions("static", folder, size=SIZE, views=16, samples=1))
    for path in sorted((folder / "images").glob("*.png"))[1::2]:
        image = to_float(read_image(path))
        write_png(path, exposed(image, torch.ones_like(image[:1]), TINT))
    return folder


TINT = torch.tensor([[0.6, 0.0, 0.0, 0.0], [0.0, 0.6, 0.0, 0.0], [0.0, 0.0, 0.75, 0.05]])


def run(source: Path, out: Path, *words: str) -> list[dict]:
    """Train; returns the records of the run."""
    train.main(["-s", str(source), "-m", str(out), *FAST, *words])
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def last_psnr(records: list[dict], split: str = "test") -> float:
    return [record["psnr"] for record in records if record["split"] == split][-1]


def resume(out: Path, *words: str) -> None:
    train.main(["-m", str(out), "--resume", "--quiet", *DEVICE, *words])


# ---- transparency: RGBA pictures once trained to 2 or 3 dB with a white background


def test_rgba_trains_equally_well_on_every_background(rgba, tmp_path):
    found = {}
    for name, words in (("black", []), ("white", ["-w"]), ("random", ["--random_background"])):
        words = [
            *words,
            "--densify_until_iter",
            "0",
            "--iterations",
            "800",
            "--test_iterations",
            "800",
            "--init_count",
            "500",
        ]
        found[name] = last_psnr(run(rgba, tmp_path / name, *words))
    assert min(found.values()) > 14, found
    assert max(found.values()) - min(found.values()) < 1.5, found


def test_rgba_on_white_is_rendered_and_measured_on_white(rgba, tmp_path):
    run(rgba, tmp_path, "-w", "--iterations", "60")
    render.main(["-m", str(tmp_path), "--skip_train", "--quiet", *DEVICE])
    pictures = [to_float(read_image(tmp_path / f"test/ours_60/{kind}/00000.png")) for kind in ("renders", "gt")]
    corner = [picture[:, :2, :2].mean() for picture in pictures]
    assert float(corner[1]) == 1.0 and float(corner[0]) > 0.8
    metrics.main(["-m", str(tmp_path), "--quiet"])
    assert json.loads((tmp_path / "results.json").read_text())["ours_60"]["PSNR"] > 10


# ---- masks


def masked(source: Path, folder: Path) -> Path:
    """The scene with plain RGB pictures on garbage, and the alpha as masks."""
    generator = np.random.default_rng(0)
    shutil.copytree(source, folder)
    for path in [*folder.glob("train/*.png"), *folder.glob("test/*.png")]:
        pixels = read_image(path)
        alpha = pixels[:, :, 3:] / 255
        noise = generator.integers(0, 256, pixels[:, :, :3].shape)
        mixed = np.rint(pixels[:, :, :3] * alpha + noise * (1 - alpha)).astype(np.uint8)
        Image.fromarray(mixed).save(path)
        write_png(folder / "masks" / path.relative_to(folder), pixels[:, :, 3])
    return folder


def test_a_matte_is_as_good_as_alpha_and_ignoring_leaves_the_rest_free(rgba, tmp_path):
    scene = masked(rgba, tmp_path / "scene")
    words = ["--iterations", "150", "--densify_until_iter", "0", "--test_iterations", "150", "--lambda_alpha", "0.1"]
    alpha = last_psnr(run(rgba, tmp_path / "alpha", *words))
    matte = last_psnr(run(scene, tmp_path / "matte", *words, "--mask_mode", "matte"))
    assert abs(matte - alpha) < 1.5
    run(scene, tmp_path / "ignore", *words)
    shares = {name: outside(tmp_path / name, rgba) for name in ("matte", "ignore")}
    assert shares["matte"] < 0.5 * shares["ignore"], shares


def outside(model: Path, source: Path) -> float:
    """Mean brightness that the model draws where the object is not."""
    render.main(["-m", str(model), "--skip_train", "--quiet", *DEVICE])
    alpha = read_image(source / "test/test_000.png")[:, :, 3]
    drawn = read_image(model / "test/ours_150/renders/00000.png")
    return float(drawn[alpha == 0].mean())


def test_mattes_without_masks_are_one_line(rgba, tmp_path):
    with pytest.raises(ValueError, match="no masks; expected masks/<image name>.png"):
        run(rgba, tmp_path, "--iterations", "1", "--mask_mode", "matte")


# ---- exposures


def test_exposures_are_learnt_saved_and_rendered(photos, tmp_path):
    words = ["--iterations", "300", "--densify_until_iter", "0", "--llffhold", "4", "--exposure_lr_init", "0.02"]
    run(photos, tmp_path / "without", *words)
    run(photos, tmp_path / "with", *words, "--exposure")
    found = Exposures.load(tmp_path / "with")
    assert len(found.by_name) == 12 and "view_000.png" not in found.by_name  # a test view
    bright, dark = found.of("view_002.png"), found.of("view_001.png")
    assert float(dark[:, :3].sum()) < 0.85 * float(bright[:, :3].sum())
    errors = {}
    for name in ("without", "with"):
        render.main(["-m", str(tmp_path / name), "--skip_test", "--quiet", *DEVICE])
        folder = tmp_path / name / "train/ours_300"
        pairs = [(folder / kind / f"{k:05d}.png" for kind in ("renders", "gt")) for k in range(12)]
        errors[name] = np.mean([np.abs(read_image(a).astype(int) - read_image(b)).mean() for a, b in pairs])
    assert errors["with"] < 0.8 * errors["without"], errors
    assert not (tmp_path / "without/exposure.json").exists()


def test_an_exposure_may_be_left_out_when_rendering(photos, tmp_path):
    run(photos, tmp_path, "--iterations", "3", "--exposure")
    Exposures({"view_001.png": torch.zeros(3, 4)}).save(tmp_path)  # black, whatever is there
    shades = []
    for words in ([], ["--no_exposure"]):
        render.main(["-m", str(tmp_path), "--skip_test", "--quiet", *DEVICE, *words])
        shades.append([read_image(tmp_path / f"train/ours_3/renders/{k:05d}.png").max() for k in (0, 1)])
    assert shades[0][0] == 0 and shades[0][1] > 0 and min(shades[1]) > 0


def test_exposures_resume_bit_for_bit(photos, tmp_path):
    words = ["--exposure", "--exposure_lr_delay_steps", "9", *SCHEDULE]
    run(photos, tmp_path / "whole", *words, "--iterations", "24")
    run(photos, tmp_path / "parts", *words, "--iterations", "24", "--checkpoint_iterations", "11")
    shutil.rmtree(tmp_path / "parts/point_cloud")
    (tmp_path / "parts/exposure.json").unlink()
    resume(tmp_path / "parts")
    for name in ("point_cloud/iteration_24/point_cloud.ply", "exposure.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_train_and_test_pictures_of_one_name_do_not_mix(rgba, tmp_path):
    scene = Path(shutil.copytree(rgba, tmp_path / "scene"))
    for split in ("train", "test"):
        table = json.loads((scene / f"transforms_{split}.json").read_text())
        for number, frame in enumerate(table["frames"]):
            old = scene / f"{frame['file_path']}.png"
            old.rename(old.with_name(f"r_{number}.png"))
            frame["file_path"] = f"./{split}/r_{number}"
        (scene / f"transforms_{split}.json").write_text(json.dumps(table))
    run(scene, tmp_path / "out", "--iterations", "20", "--exposure")
    names = set(Exposures.load(tmp_path / "out").by_name)
    assert "train/r_0.png" in names and not any(name.startswith("test/") for name in names)


def test_the_protocol_of_half_test_views(photos, tmp_path):
    records = run(photos, tmp_path, "--train_test_exp", "--iterations", "40", "--test_iterations", "40")
    assert [record["views"] for record in records if record["split"] == "test"] == [2]
    assert len(Exposures.load(tmp_path).by_name) == 16  # all pictures train, with exposures
    render.main(["-m", str(tmp_path), "--quiet", *DEVICE])
    folder = tmp_path / "test/ours_40"
    sizes = {path.parent.name: read_image(path).shape for path in folder.glob("*/00000.png")}
    assert sizes["renders"] == sizes["gt"] == (SIZE[1], SIZE[0] // 2, 3)
    assert len(list((tmp_path / "train/ours_40/renders").glob("*.png"))) == 16
    right = read_image(photos / "images/view_000.png")[:, SIZE[0] // 2 :, :3]
    np.testing.assert_array_equal(read_image(folder / "gt/00000.png"), right)
    metrics.main(["-m", str(tmp_path), "--quiet"])
    inside = last_psnr(records)
    assert json.loads((tmp_path / "results.json").read_text())["ours_40"]["PSNR"] == pytest.approx(inside, abs=0.3)


def test_the_protocol_goes_without_exposures(photos, tmp_path):
    run(photos, tmp_path, "--train_test_exp", "--no_exposure", "--iterations", "2")
    assert not (tmp_path / "exposure.json").exists()


def test_the_right_half_of_a_test_view_does_not_train(photos, tmp_path):
    """Whatever it shows."""
    spoiled = Path(shutil.copytree(photos, tmp_path / "scene"))
    for name in ("view_000.png", "view_008.png"):
        pixels = read_image(spoiled / "images" / name).copy()
        pixels[:, SIZE[0] // 2 :] = 255
        Image.fromarray(pixels).save(spoiled / "images" / name)
    for name, source in (("a", photos), ("b", spoiled)):
        run(source, tmp_path / name, "--train_test_exp", "--iterations", "20")
    plys = [tmp_path / name / "point_cloud/iteration_20/point_cloud.ply" for name in ("a", "b")]
    assert plys[0].read_bytes() == plys[1].read_bytes()


# ---- depth maps


def depth_error(scene: Path, model: Path) -> float:
    """Mean difference of rendered and true inverse depth over the test views."""
    trained = open_trained(replace(load_config(model, ModelParams), device="cpu", backend=BACKEND))
    errors = []
    for camera in trained.scene.test:
        with torch.no_grad():
            drawn = render_view(camera, trained.model, settings=RenderSettings(backend=BACKEND)).inverse_depth[0]
        true = torch.from_numpy(1 / np.load(scene / "depth_gt" / f"{camera.image_name[:-4]}.npy"))
        errors.append(float((drawn - true).abs().mean()))
    return float(np.mean(errors))


@pytest.mark.parametrize("loss", ["l1", "robust"])
def test_depth_maps_bring_the_depth_nearer_to_the_truth(photos, tmp_path, loss):
    scene = Path(shutil.copytree(photos, tmp_path / "scene"))
    write_maps(scene, scene / "depths")
    align(Options(scene, scene / "depths"))
    words = ["--init", "random", "--iterations", "150", "--densify_until_iter", "0", "--depth_l1_weight_final", "1.0"]
    run(scene, tmp_path / "without", *words)
    run(scene, tmp_path / "with", *words, "-d", "depths", "--depth_loss", loss)
    shutil.rmtree(scene / "depths")  # rendering does not need them
    assert depth_error(scene, tmp_path / "with") < 0.8 * depth_error(scene, tmp_path / "without")


# ---- the second strategy


@pytest.mark.parametrize("optimizer", ["default", "sparse_adam"])
def test_mcmc_trains_and_grows_to_the_cap(rgba, tmp_path, optimizer):
    words = [*MCMC, "--cap_max", "170", "--iterations", "120"]
    records = run(rgba, tmp_path, *words, "--optimizer_type", optimizer, "--test_iterations", "1", "120")
    psnrs = [record["psnr"] for record in records if record["split"] == "test"]
    assert psnrs[1] > psnrs[0] + 1
    counts = [record["count"] for record in records if record["split"] == "train"]
    assert max(counts) == counts[-1] == 170 and min(counts) == 150
    assert json.loads((tmp_path / "config.json").read_text())["OptimizationParams"]["densify_until_iter"] == 100


def test_mcmc_resumes_bit_for_bit(rgba, tmp_path):
    words = [*MCMC, "--cap_max", "190", "--iterations", "30"]
    run(rgba, tmp_path / "whole", *words)
    run(rgba, tmp_path / "parts", *words, "--checkpoint_iterations", "13")
    shutil.rmtree(tmp_path / "parts/point_cloud")
    resume(tmp_path / "parts")
    plys = [tmp_path / name / "point_cloud/iteration_30/point_cloud.ply" for name in ("whole", "parts")]
    assert plys[0].read_bytes() == plys[1].read_bytes() and len(read_ply(plys[0])) == 172


def test_mcmc_and_exposures_work_where_things_move(tmp_path):
    make(SceneOptions("dynamic", tmp_path / "scene", size=SIZE, views=8))
    words = [*MCMC, "--cap_max", "170", "--exposure"]
    for motion in ("motion_bases", "deform_mlp"):
        out = tmp_path / motion
        run(tmp_path / "scene", out, *words, "--motion", motion, "--iterations", "16", "--densify_until_iter", "12")
        assert len(read_ply(out / "point_cloud/iteration_16/point_cloud.ply")) > 150
        assert len(Exposures.load(out).by_name) == 8
        render.main(["-m", str(out), "--skip_train", "--quiet", *DEVICE])
        assert (out / "test/ours_16/renders/00000.png").is_file()


# ---- how a model is rendered again


def test_antialiasing_is_remembered_and_a_change_is_said(rgba, tmp_path, capsys):
    run(rgba, tmp_path, "--iterations", "3", "--antialiasing")
    render.main(["-m", str(tmp_path), "--skip_train", *DEVICE])
    assert "antialiasing" not in capsys.readouterr().err
    before = (tmp_path / "test/ours_3/renders/00000.png").read_bytes()
    render.main(["-m", str(tmp_path), "--skip_train", "--no_antialiasing", *DEVICE])
    assert "was trained with antialiasing and is rendered otherwise; --antialiasing restores" in capsys.readouterr().err
    assert (tmp_path / "test/ours_3/renders/00000.png").read_bytes() != before
