"""edit.py on small perfect models: the result is a model folder like any other, and can be edited again."""

import math

import ndraster
import numpy as np
import pytest
import torch

import edit as script
import render
from arguments import ModelParams, MotionParams, load_config
from gaussian_renderer import RenderSettings
from gaussian_renderer import render as render_view
from gaussian_renderer.camera_file import read_cameras
from gaussian_renderer.trained import open_trained
from scene.formats import read_splats, write_splats
from tests.blobs import blob_labels, blob_model, write_blob_run
from tests.helpers import assert_one_line_error, run_script
from utils.errors import UserError
from utils.files import write_json
from utils.image_io import read_image, write_png

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
QUICK = ["--backend", BACKEND, "--device", "cpu"]
LABELS = blob_labels()
RED = {"box": [[-2, -2, -0.9], [-0.3, 2, 0.9]]}
SINK = [{"time": 0}, {"time": 1, "translate": [0, 2, 0]}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_blob_run(tmp_path_factory.mktemp("edit"))


def edit(run, folder, *layers, **top):
    """Compose layers of which the first is `run`; returns the new model folder."""
    first, *others = layers
    layers = [{"name": "balls", "model": str(run), **first}, *others]
    write_json(folder / "scene.json", {"version": 1, "layers": layers, **top})
    script.main([str(folder / "scene.json"), "-o", str(folder / "out"), *QUICK])
    return folder / "out"


def opened(folder):
    options = load_config(folder, ModelParams)
    return open_trained(ModelParams(**{**vars(options), "device": "cpu", "model_path": str(folder)}))


def test_a_falling_copy_is_rendered_by_render(run, tmp_path):
    red = {"name": "red", "model": str(run), "select": RED, "keyframes": SINK, "copies": [{"translate": [2, 0, 0]}]}
    folder = edit(run, tmp_path, {}, red, frames=3)
    trained = opened(folder)
    assert len(trained.model) == 200 and trained.model.motion.kind == "per_timestep" and trained.iteration == 30
    start = blob_model().means.detach()[:40]
    for time, depth in ((0.0, 0.0), (0.25, 0.5), (1.0, 2.0)):
        means = trained.model.at(time).means
        torch.testing.assert_close(means[:120], blob_model().means.detach(), atol=1e-5, rtol=0)
        torch.testing.assert_close(means[120:160], start + torch.tensor([0.0, depth, 0.0]), atol=1e-3, rtol=0)
        torch.testing.assert_close(means[160:], start + torch.tensor([2.0, depth, 0.0]), atol=1e-3, rtol=0)
    path = folder / "camera_path.json"
    assert [camera.time for camera in read_cameras(path)] == [0.0, 0.5, 1.0]
    words = ["--novel_view", "--path", "file", "--camera_path", str(path), "--skip_train", "--skip_test"]
    render.main(["-m", str(folder), *words, *QUICK, "--quiet"])
    pictures = [read_image(p) for p in sorted((folder / "camera_path" / "ours_30" / "renders").glob("*.png"))]
    assert len(pictures) == 3 and np.abs(pictures[0].astype(int) - pictures[2]).max() > 100
    assert load_config(folder, MotionParams).motion == "per_timestep"
    assert load_config(folder, ModelParams).sh_degree == 0


def test_removal_reports_holes_and_a_result_is_edited_again(run, tmp_path, capsys):
    moving = edit(run, tmp_path, {"keyframes": SINK}, frames=4)
    (tmp_path / "again").mkdir()
    sunken = {"box": [[-2, 1, -0.9], [-0.3, 3, 0.9]]}  # where the red ball is at the moment that is shown first
    still = {"name": "still", "model": str(run)}
    folder = edit(moving, tmp_path / "again", {"remove": sunken, "clock": {"reverse": True}}, still, frames=4)
    assert "holes: " in capsys.readouterr().out
    model = opened(folder).model
    means = model.at(0.0).means
    expected = blob_model().means.detach()[40:] + torch.tensor([0.0, 2.0, 0.0])
    torch.testing.assert_close(means[:80], expected, atol=2e-3, rtol=0)
    assert torch.equal(model.params["motion_code"][:, 0], (torch.arange(200) < 80).float())


def test_a_splat_file_follows_and_carries_the_camera(run, tmp_path):
    hat = blob_model().subset(LABELS == 2)
    write_splats(tmp_path / "hat.ply", hat.to_arrays())
    top = {"name": "hat", "ply": str(tmp_path / "hat.ply"), "follow": {"layer": "balls", "select": RED}}
    camera = {"attach": {"layer": "hat"}, "offset": [0, 0, -3], "look": [0, 0, 1]}
    folder = edit(run, tmp_path, {"keyframes": SINK}, top, frames=5, camera=camera)
    means = opened(folder).model.at(1.0).means
    torch.testing.assert_close(means[120:], hat.means.detach() + torch.tensor([0.0, 2.0, 0.0]), atol=1e-3, rtol=0)
    first, *_, last = read_cameras(folder / "camera_path.json")
    torch.testing.assert_close(last.center - first.center, torch.tensor([0.0, 2.0, 0.0]), atol=1e-4, rtol=0)
    assert math.isclose(float(last.world_to_camera[2, 2]), 1.0, abs_tol=1e-5)


def test_paint_stays_on_what_moves(run, tmp_path):
    settings = RenderSettings(BACKEND)
    view = opened(run).scene.train[0]
    with torch.no_grad():
        picture = render_view(view, blob_model(), settings=settings, features=torch.eye(3)[LABELS])
    image = picture.color.clamp(0, 1)
    image[2, picture.features[0] > 0.5] = 0.9  # the red ball in pink
    write_png(tmp_path / "painted.png", image)
    paint = {"image": str(tmp_path / "painted.png"), "view": view.image_name}
    folder = edit(run, tmp_path, {"paint": paint, "keyframes": SINK}, frames=2)
    change = read_splats(folder / "point_cloud" / "iteration_30" / "point_cloud.ply").f_dc[:, 0]
    change = torch.from_numpy(change) - blob_model().params["f_dc"].detach()[:, 0]
    assert change[LABELS == 0, 2].max() > 2.0 and change[:, :2].abs().max() < 0.7
    assert change[LABELS != 0, 2].abs().mean() < 0.1 * change[LABELS == 0, 2].mean()


def test_an_earlier_result_is_kept(run, tmp_path):
    edit(run, tmp_path, {})
    folder = edit(run, tmp_path, {"remove": RED})
    earlier = folder / "earlier_runs" / "1" / "point_cloud" / "iteration_30" / "point_cloud.ply"
    assert len(read_splats(earlier)) == 120 and len(opened(folder).model) == 80


def test_the_base_is_not_overwritten(run, tmp_path):
    write_json(tmp_path / "scene.json", {"version": 1, "layers": [{"name": "balls", "model": str(run)}]})
    with pytest.raises(UserError, match="is the model of layer 'balls'"):
        script.main([str(tmp_path / "scene.json"), "-o", str(run), *QUICK])


def test_a_wrong_picture_is_said(run, tmp_path):
    with pytest.raises(UserError, match="no view 'x.png'; there are test/000.png to train/007.png"):
        edit(run, tmp_path, {"paint": {"image": "x.png", "view": "x.png"}})


def test_what_is_wrong_is_one_line(tmp_path):
    (tmp_path / "scene.json").write_text('{"version": 1, "layrs": []}')
    result = run_script("edit.py", tmp_path / "scene.json", "-o", tmp_path / "out")
    assert_one_line_error(result, "scene.json", "unknown key 'layrs'", "did you mean 'layers'")
