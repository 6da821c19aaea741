"""render.py on a small perfect model that moves: modes, followed objects, moments, speed."""

import shutil
from dataclasses import replace

import ndraster
import numpy as np
import pytest
import torch

import metrics
import render as script
from arguments import OptionError
from encoders.oracle import word_vector
from encoders.record import TeacherRecord
from gaussian_renderer.time_modes import surface_distance
from scene.formats import write_splats
from scene.gaussian_model import GaussianModel
from tests.blobs import REFERENCE, blob_labels, ring_cameras
from tests.moving_blobs import Lift, moving_blobs, timed_ring, write_moving_run
from utils.errors import UserError
from utils.files import read_json
from utils.image_io import read_image

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
QUICK = ["--backend", BACKEND, "--device", "cpu"]
PLAIN = ["--no_save_features", "--no_depth"]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_moving_run(tmp_path_factory.mktemp("moving"))


@pytest.fixture
def run(original, tmp_path, monkeypatch):
    """A model folder to write into; what is loaded from it moves."""
    pytest.importorskip("av")
    open_trained = script.open_trained

    def opened(*args, **options):
        trained = open_trained(*args, **options)
        model = trained.model
        return replace(trained, model=GaussianModel(model.params, model.active_sh_degree, Lift()))

    monkeypatch.setattr(script, "open_trained", opened)
    return shutil.copytree(original, tmp_path / "run")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def call(run, *words):
    script.main(["-m", str(run), *QUICK, *words])


def height_of_red(path):
    """Mean row of the pixels of the red ball."""
    image = read_image(path).astype(int)
    rows, _ = np.nonzero((image[..., 0] > 120) & (image[..., 1] < 90) & (image[..., 2] < 90))
    return rows.mean()


def test_splits_are_rendered_at_their_own_times_and_measured(run, capsys):
    call(run, "--measure_fps", *PLAIN)
    for split in ("train", "test"):
        folder = run / split / "ours_30"
        for name in names(folder / "renders"):
            render, photo = (read_image(folder / kind / name).astype(int) for kind in ("renders", "gt"))
            assert np.abs(render - photo).max() <= 1
    times = [frame["time"] for frame in read_json(run / "train/ours_30/manifest.json")["frames"]]
    assert times == pytest.approx([index / 6 for index in range(7)])
    shown = capsys.readouterr().out
    assert shown.count("Test FPS: ") == 2 and "number of Gaussians: 120" in shown
    metrics.main(["-m", str(run)])
    assert read_json(run / "results.json")["ours_30"]["SSIM"] > 0.999


@pytest.mark.parametrize(
    ("mode", "folder", "pictures"),
    [
        ("time", "interpolate_30", 2),
        ("view", "interpolate_view_30", 2),
        ("all", "interpolate_all_30", 2),
        ("pose", "interpolate_pose_30", 0),
        ("original", "interpolate_hyper_view_30", 0),
    ],
)
def test_modes_have_the_folders_of_deformable_3dgs(run, mode, folder, pictures):
    call(run, "--mode", mode, "--num_views", "2")
    for split in ("train", "test"):
        assert names(run / split) == [folder]
        renders = [f"{index:05d}.png" for index in range(pictures)]
        assert names(run / split / folder / "renders") == [*renders, "video.mp4", "video_fmap.mp4"]
        assert (run / split / folder / "depth").is_dir() == bool(pictures)


def test_in_mode_time_things_move_in_front_of_a_standing_camera(run):
    call(run, "--mode", "time", "--num_views", "3", "--skip_test", *PLAIN)
    rows = [height_of_red(run / f"train/interpolate_30/renders/{index:05d}.png") for index in range(3)]
    assert rows[0] - 4 > rows[1] > rows[2] + 4, "the red ball rises"


def test_a_mode_at_a_fixed_time(run):
    call(run, "--mode", "all", "--num_views", "2", "--time", "0.25", "--skip_train", *PLAIN)
    frames = read_json(run / "test/interpolate_all_30/manifest.json")["frames"]
    assert [frame["time"] for frame in frames] == [0.25, 0.25]


def test_wandering_views_show_the_scene(run):
    call(run, "--mode", "view", "--num_views", "3", "--skip_test", *PLAIN)
    for name in ("00000.png", "00001.png", "00002.png"):
        assert read_image(run / "train/interpolate_view_30/renders" / name).mean() > 10, "not black"


def test_new_paths_run_through_time_or_stand_still(run):
    words = ["--skip_train", "--skip_test", "--novel_view", "--num_views", "3", *PLAIN]
    call(run, *words)
    for name in ("novel_views", "orbit"):
        frames = read_json(run / name / "ours_30/manifest.json")["frames"]
        assert [frame["time"] for frame in frames] == pytest.approx([0, 0.5, 1])
    call(run, *words, "--time", "0.5", "--path", "orbit")
    frames = read_json(run / "orbit/ours_30/manifest.json")["frames"]
    assert [frame["time"] for frame in frames] == [0.5] * 3


def test_a_sequence_of_ply_files(run):
    call(run, "--skip_train", "--skip_test", "--ply_sequence", "3")
    assert names(run / "ply_sequence_30") == ["00000.ply", "00001.ply", "00002.ply"]


def point_on(ball, camera, model):
    """A pixel on the middle of a ball as the camera sees it at its time, as DGD's users write it."""
    centre = model.at(camera.time).means[blob_labels() == ball].mean(0)
    x, y, z = camera.world_to_camera[:3, :3] @ centre.detach() + camera.world_to_camera[:3, 3]
    return f"({int(camera.fx * x / z + camera.cx)},{int(camera.fy * y / z + camera.cy)})"


@pytest.fixture(scope="module")
def points():
    """Clicks on the red and the green ball in the first training view."""
    camera = replace(ring_cameras(8)[1], time=0.0)
    return [point_on(ball, camera, moving_blobs()) for ball in (0, 1)]


def test_a_click_is_followed_through_time(run, points, original):
    call(
        run, "--iterations", "30", "--points", *points, "--thetas", "0.8", "0.9", "--frame", "5", "--novel_views", "-1"
    )
    folder = run / "train/ours_30"
    frames = [f"{index:05d}.png" for index in range(5)]
    assert names(folder) == ["gt", "manifest.json", "mask", "renders", "renders_PCA", "selection.npz"]
    assert names(folder / "renders") == [*frames, "video.mp4"]
    assert names(folder / "renders_PCA") == [*frames, "video_PCA.mp4"]
    assert names(folder / "gt") == [*frames, "video_gt.mp4"]
    assert names(folder / "mask") == frames
    for index, name in enumerate(frames):
        mask = read_image(folder / "mask" / name)[..., 0] > 127
        truth = read_image(original.parent / f"data/labels/train__{index + 1:03d}.png")[..., 0]
        wanted = (truth == 1) | (truth == 2)
        assert (mask & wanted).sum() / (mask | wanted).sum() > 0.95


def test_the_selection_is_kept(run, points):
    call(run, "--points", *points, "--thetas", "0.8", "--frame", "1")
    kept = np.load(run / "train/ours_30/selection.npz")
    labels = blob_labels().numpy()
    assert (kept["indices"] == np.nonzero(labels < 2)[0]).all()
    assert (kept["objects"] == labels[labels < 2]).all()
    assert kept["scores"].shape == (120, 2) and kept["query"].shape == (2, 4)
    assert kept["theta"] == pytest.approx([0.8, 0.8])


def test_objects_have_the_colours_of_dgd(run, points):
    call(run, "--points", *points, "--thetas", "0.8", "--frame", "2")
    pixels = read_image(run / "train/ours_30/renders/00001.png").reshape(-1, 3).astype(int)
    for color in ((0, 255, 0), (255, 0, 0)):
        assert np.abs(pixels - color).max(1).min() < 12, "first green, then red"
    assert np.abs(pixels - (26, 204, 26)).max(1).min() > 12, "the green of the photographs is gone"


def test_time_runs_in_front_of_a_training_view(run, points):
    call(run, "--points", points[0], "--frame", "3", "--novel_views", "2")
    folder = run / "train/ours_30"
    assert not (folder / "gt").exists()
    frames = read_json(folder / "manifest.json")["frames"]
    assert [frame["time"] for frame in frames] == [0, 0.5, 1]
    rows = [np.nonzero(read_image(folder / f"mask/{index:05d}.png")[..., 0])[0].mean() for index in range(3)]
    assert rows[0] - 3 > rows[1] > rows[2] + 3, "the mask rises with the ball"


@pytest.mark.parametrize("action", ["extract", "remove", "highlight"])
def test_actions(run, points, action):
    call(run, "--points", points[0], "--frame", "1", "--op", action)
    red, green, _ = read_image(run / "train/ours_30/renders/00000.png").reshape(-1, 3).astype(float).sum(0)
    assert (red < 0.5 * green) if action == "remove" else (green < 0.5 * red)
    assert (read_image(run / "train/ours_30/mask/00000.png") > 127).any(), "masks show what was chosen"


def test_frames_without_objects(run):
    call(run, "--novel_views", "1", "--frame", "2")
    assert names(run / "train/ours_30") == ["manifest.json", "renders", "renders_PCA"]


def word_run(run):
    """Balls with the vectors of their colours' names."""
    vectors = torch.from_numpy(np.stack([word_vector(word, 16) for word in ("red", "green", "blue")]))
    arrays = moving_blobs().with_features(vectors[blob_labels()]).to_arrays()
    write_splats(run / "point_cloud/iteration_30/point_cloud.ply", arrays)
    TeacherRecord("oracle_words", 16).save(run)
    return run


@pytest.mark.parametrize(("words", "balls"), [(["blue"], [2]), (["blue", "red"], [2, 0])])
def test_words(run, words, balls):
    call(word_run(run), "--prompt", *words, "--thetas", "0.55", "--novel_views", "4", "--frame", "2")
    kept = np.load(run / "train/ours_30/selection.npz")
    labels = blob_labels().numpy()
    assert set(kept["indices"]) == set(np.nonzero(np.isin(labels, balls))[0])
    for number, ball in enumerate(balls):
        assert (labels[kept["indices"][kept["objects"] == number]] == ball).all()


def test_more_frames_than_views_are_those_there_are(run, capsys):
    call(run, "--frame", "539", *PLAIN)
    assert len(names(run / "train/ours_30/gt")) == 7 + 1
    assert "--frame is 539, but there are 7 training views" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num_views", "0"], "--num_views is 0"),
        (["--points", "(1,1)"], "shows nothing"),
        (["--novel_views", "7"], "--novel_views is 7; expected -1, or a training view from 0 to 6"),
        (["--frame", "0"], "--frame is 0"),
        (["--ref_frame", "9", "--points", "(9,9)"], "--ref_frame is 9"),
        (["--prompt", "cookie"], "knows no words"),
    ],
)
def test_what_cannot_be_is_one_line(run, words, message):
    TeacherRecord("classical", 4).save(run)
    with pytest.raises((UserError, OptionError), match=message):
        call(run, *words)


def test_distance_of_the_surface():
    model, camera = moving_blobs(), timed_ring(2)[0]
    assert 2.5 < surface_distance(camera, model, REFERENCE) < 4.5
    assert surface_distance(camera, model.subset(torch.zeros(120, dtype=torch.bool)), REFERENCE) == 1.0
