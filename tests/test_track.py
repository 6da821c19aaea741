"""track.py on the moving balls, seen by one camera that moves and by a rig."""

import ast
import csv
import json
from dataclasses import replace

import ndraster
import numpy as np
import pytest
import torch

import track as script
from arguments import ModelParams
from arguments.config_file import OptionError
from gaussian_renderer.anchors import project
from gaussian_renderer.trained import open_trained
from tests.blobs import CENTRES, RADIUS
from tests.moving_blobs import TIMES, TRAVEL, Lift, write_moving_run
from utils.errors import UserError
from utils.files import read_json

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
QUICK = ["--backend", BACKEND, "--device", "cpu"]
STILL = ["--skip_video", *QUICK]
MOMENTS = sorted(set(TIMES[1:]))
RIG = (0, 3, 7)  # numbers of cameras


def as_rig(scene):
    """Three of the views become cameras that stand still and are there at all moments; the first two train."""
    views = {7: scene.test[0], 0: scene.train[0], 3: scene.train[2]}

    def camera(number, index, time):
        info = replace(views[number].info, camera_id=number, time=time)
        return replace(views[number], image_name=f"{number}/{index:06d}.jpg", time=time, info=info)

    def split(numbers):
        return tuple(camera(number, index, time) for number in numbers for index, time in enumerate(MOMENTS))

    return replace(scene, train=split((0, 3)), test=split((7,)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_moving_run(tmp_path_factory.mktemp("moving"))


@pytest.fixture
def opened(monkeypatch):
    """Opens the folder, which has no motion of a kind that can be saved; `rig` makes its views a rig."""

    def patch(is_rig=False):
        def opened(*args):
            trained = open_trained(*args)
            scene = as_rig(trained.scene) if is_rig else trained.scene
            return replace(trained, scene=scene, model=trained.model.with_motion(Lift()))

        monkeypatch.setattr(script, "open_trained", opened)
        return opened

    patch()
    return patch


@pytest.fixture
def rig(opened, run):
    options = ModelParams(source_path=str(run.parent / "data"), model_path=str(run), device="cpu", eval=True)
    return opened(is_rig=True)(options)


def follow(run, *words):
    script.main(["-m", str(run), *words, *STILL])
    with np.load(run / "tracks" / "points" / "tracks.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def truth_of(points, time):
    """Points of the balls as the lift carries them (their Gaussians' turns are small beside the way)."""
    share = (points[:, :1] < -0.5).float() * time
    return points + share * TRAVEL * torch.tensor([0.0, -1.0, 0.0])


def test_points_in_space_are_followed_in_both_directions(run, opened):
    words = ["--time", "0.5"]
    for ball in range(3):
        words += ["--point3d", *(f"{value:g}" for value in truth_of(CENTRES, 0.5)[ball].tolist())]
    found = follow(run, *words)
    assert found["times"].tolist() == pytest.approx(MOMENTS) and found["query_times"].tolist() == [0.5] * 3
    for index, time in enumerate(MOMENTS):
        np.testing.assert_allclose(found["points"][index], truth_of(CENTRES, time), atol=0.06)
    np.testing.assert_allclose(found["points"][:, 1:], np.broadcast_to(CENTRES[1:], (7, 2, 3)), atol=1e-5)
    assert found["cameras"].tolist() == ["train__001"] and found["visible"].shape == (7, 1, 3)


def test_a_clicked_pixel_is_followed(run, opened, rig):
    camera = rig.scene.train[3]  # camera 0 at the fourth moment
    (x, y), *_ = project(camera, truth_of(CENTRES[:1], camera.time))[0].tolist()
    found = follow(run, "--view", camera.image_name, "--point", str(int(x)), str(int(y)))
    assert found["cameras"].tolist() == ["0"] and found["query_times"].tolist() == [camera.time]
    assert found["pixels"][3, 0, 0] == pytest.approx([int(x) + 0.5, int(y) + 0.5], abs=1e-3)
    assert np.linalg.norm(found["query_points"][0] - truth_of(CENTRES[:1], camera.time)[0].numpy()) < 1.3 * RADIUS
    ways = found["points"][-1, 0] - found["points"][0, 0]
    np.testing.assert_allclose(ways, [0, -TRAVEL, 0], atol=0.1)
    assert found["visible"].all(), "it is on the side of the camera"
    np.testing.assert_allclose(found["pixels"][:, 0], [project(camera, torch.from_numpy(p))[0].numpy()
                                                       for p in found["points"]], atol=1e-3)  # fmt: skip


def test_hidden_points_are_not_visible(run, opened, rig):
    """A point on the far side of the green ball, and one on the near side, seen by camera 0."""
    camera = rig.scene.train[0]
    towards = torch.nn.functional.normalize(camera.center - CENTRES[1], dim=0)
    words = []
    for side in (-1.0, 1.0):
        words += ["--point3d", *(f"{v:g}" for v in (CENTRES[1] + side * RADIUS * towards).tolist())]
    found = follow(run, *words, "--all_views")
    assert found["cameras"].tolist() == ["0", "3", "7"]
    assert not found["visible"][:, 0, 0].any() and found["visible"][:, 0, 1].all()


def test_files_of_queries_and_tables(run, opened, rig, tmp_path):
    path = tmp_path / "points.csv"
    camera = rig.scene.train[0]
    x, y = project(camera, CENTRES[:1])[0][0].tolist()
    path.write_text(f"view,x,y,z,time\n,-1,0,0,0\n{camera.image_name},{x},{y},,\n,1,0,0,1\n")
    found = follow(run, "--queries", str(path))
    assert found["query_times"].tolist() == [0, 0, 1], "in the order of the file"
    np.testing.assert_allclose(found["query_points"][[0, 2]], CENTRES[:2], atol=1e-6)
    with open(run / "tracks" / "points" / "tracks.csv", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 3 * len(MOMENTS) and list(rows[0])[-3:] == ["x_0", "y_0", "visible_0"]
    last = rows[len(MOMENTS) - 1]
    assert (last["point"], last["moment"]) == ("0", "6")
    lines = (run / "tracks" / "points" / "tracks.usda").read_text().splitlines()
    (sample,) = (line.split(":")[1] for line in lines if line.startswith("        6:"))
    np.testing.assert_array_equal(np.float32(ast.literal_eval(sample.strip().rstrip(","))), found["points"][6])
    assert float(last["y"]) == pytest.approx(found["points"][6, 0, 1], rel=1e-4)
    assert float(last["y_0"]) == pytest.approx(found["pixels"][6, 0, 0, 1], abs=0.01)
    again = follow(run, "--queries", str(run / "tracks" / "points" / "tracks.npz"))
    assert np.abs(again["points"] - found["points"])[:, [0, 2]].max() < 1e-5, "its own results are queries"


def test_a_grid_is_on_what_moves(run, opened):
    found = follow(run, "--grid", "24", "--view", "0")
    assert found["points"].shape[1] > 5
    assert (found["query_points"][:, 0] < -0.4).all(), "the red ball only"
    ways = found["points"][-1] - found["points"][0]
    assert np.abs(ways - [0, -TRAVEL, 0]).max() < 0.3


def test_videos(run, opened, rig):
    pytest.importorskip("av")
    import imageio.v3 as imageio

    words = ["--point3d", "-1", "0", "0", "--name", "film", "--views", "0/000000", "3/000002.jpg", "0/000004"]
    script.main(["-m", str(run), *words, *QUICK])
    folder = run / "tracks" / "film"
    names = sorted(path.name for path in folder.glob("*.mp4"))
    assert names == ["0.mp4", "3.mp4"]
    assert imageio.imread(folder / "0.mp4", plugin="pyav").shape == (len(MOMENTS), 40, 48, 3)


def write_truth(path, is_rig, shift=0.0):
    """True points on the balls' middles, the last of which nobody sees; the second starts at the third moment."""
    points = torch.stack([truth_of(CENTRES[[0, 1, 2, 0]], time) for time in MOMENTS]).numpy()
    visible = np.ones((len(MOMENTS), 8, 4), bool)
    visible[:2, :, 1] = visible[:, :, 3] = False
    points[3:, 0, 2] += shift
    labels = np.array([4, 5, 5, 4], np.uint8)
    visible = visible if is_rig else visible[:, 0]
    np.savez(path, times=MOMENTS, points=points, labels=labels, visible=visible)
    return path


def evaluate(run, path, *words):
    found = follow(run, "--evaluate", str(path), *words)
    return read_json(run / "tracks" / "points" / "results.json"), found


def test_true_tracks_of_a_rig(run, opened, rig, tmp_path, capsys):
    scores, found = evaluate(run, write_truth(tmp_path / "tracks_gt.npz", True))
    assert "5 of its 8 cameras are not in the data set" in capsys.readouterr().err
    assert found["cameras"].tolist() == ["0", "3", "7"] and found["points"].shape == (7, 3, 3)
    assert found["query_times"].tolist() == pytest.approx([0, MOMENTS[2], 0]), "asked where first seen"
    assert scores["3d_cm"]["tracks"] == 3 and scores["3d_cm"]["MTE"] < 3 and scores["3d_cm"]["survival_16"] == 100
    assert scores["2d"]["tracks"] == 9 and scores["2d"]["delta_8"] == 100
    assert scores["object_5_percent"]["MTE"] < 1e-3 and "moving_percent" in scores
    assert set(scores["3d_px"]) == {"tracks", "OA", "APD", "AJ"}


def test_an_error_in_space_is_measured_in_centimetres(run, opened, rig, tmp_path):
    path = write_truth(tmp_path / "tracks_gt.npz", True, shift=0.3)
    scores, _ = evaluate(run, path, "--metres_per_unit", "0.5")
    before, _ = evaluate(run, write_truth(tmp_path / "right.npz", True), "--metres_per_unit", "0.5")
    assert scores["3d_cm"]["survival_16"] == 100 > evaluate(run, path)[0]["3d_cm"]["survival_16"]
    assert scores["3d_cm"]["MTE"] - before["3d_cm"]["MTE"] == pytest.approx(15 / 3, abs=1), "one of three tracks"


def test_true_tracks_of_one_moving_camera(run, opened, tmp_path):
    scores, found = evaluate(run, write_truth(tmp_path / "tracks_gt.npz", False))
    assert found["cameras"].tolist() == ["moving", "train__001"]
    assert scores["3d_cm"]["MTE"] < 3 and scores["2d"]["tracks"] == 3


def test_files_of_panoptic_sports_in_space(run, opened, tmp_path):
    points = [truth_of(CENTRES[:1], time)[0].tolist() for time in MOMENTS[2:]]
    points[1] = [None] * 3
    path = tmp_path / "3dgt.json"
    path.write_text(json.dumps({"juggle": {"0": points}, "boxes": {"0": points}}))
    with pytest.raises(UserError, match="one of juggle, boxes; add --gt_sequence"):
        evaluate(run, path)
    scores, found = evaluate(run, path, "--gt_sequence", "boxes")
    assert found["times"].tolist() == pytest.approx(MOMENTS[2:]) and scores["3d_cm"]["MTE"] < 3
    assert set(scores) == {"3d_cm", "truth", "carriers"}
    _, found = evaluate(run, path, "--gt_sequence", "boxes", "--gt_first_frame", "1")
    assert found["times"].tolist() == pytest.approx(MOMENTS[1:6]), "other moments"


def test_files_of_panoptic_sports_in_pictures(run, opened, rig, tmp_path):
    """Pixels of camera 0 and of one that the data set has not; the file has the first pixel's centre at 0."""
    camera = rig.scene.train[0]
    on_ball = torch.nn.functional.normalize(camera.center - CENTRES[0], dim=0) * RADIUS + CENTRES[0]
    moving = [project(camera, truth_of(on_ball[None], time))[0][0].tolist() for time in MOMENTS[1:]]
    nothing = [[1.0, 1.0]] * len(moving)
    views = {"0": {0: [[x - 0.5, y - 0.5] for x, y in moving], 21: nothing}, "1": {0: nothing}}
    path = tmp_path / "2dgt.json"
    path.write_text(json.dumps({"boxes": views}))
    scores, found = evaluate(run, path, "--gt_first_frame", "1")
    assert found["points"].shape == (6, 2, 3) and np.isnan(found["points"][:, 1]).all(), "a miss stays a track"
    assert scores["2d"]["tracks"] == 2 and set(scores) == {"2d", "truth", "carriers"}
    errors = found["pixels"][:, 0, 0] - np.array(moving)
    assert np.abs(errors).max() < 1.5 and scores["2d"]["survival_16"] == pytest.approx(50, abs=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no point given"),
        (["--point", "3", "4", "--evaluate", "x.npz"], "leave one out"),
        (["--point", "99", "4"], r"pixel 99.5 4.5 of .* \(48x40 px\) shows nothing"),
        (["--point", "1", "1", "--view", "12"], "the view is 12; expected 0 to 6"),
        (["--point3d", "0", "0", "0", "--time", "2"], "--time is 2.0"),
        (["--point3d", "0", "0", "0", "--views", "nose"], "--views is nose"),
        (["--point3d", "0", "0", "0", "--name", "a/b"], "plain folder name"),
        (["--queries", "none.csv"], "no such file"),
        (["--queries", "none.txt"], "expected queries as .csv"),
        (["--evaluate", "none.json"], "no such file"),
        (["--evaluate", "none.npz"], "no such file"),
        (["--point3d", "0", "0", "0", "--carriers", "0"], "--carriers is 0"),
        (["--grid", "1"], "nothing that moves is under"),
    ],
)
def test_what_cannot_be_is_one_line(run, opened, words, message):
    with pytest.raises((UserError, OptionError), match=message):
        follow(run, *words)
