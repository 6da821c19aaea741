"""render.py on a small perfect model."""

import json
import shutil
from pathlib import Path

import ndraster
import numpy as np
import pytest
import torch

import render as script
from encoders.oracle import word_vector
from encoders.record import TeacherRecord
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from scene.cameras import camera_record
from scene.formats import write_splats
from tests.blobs import blob_labels, blob_model, ring_cameras, write_blob_run
from tests.helpers import assert_one_line_error, run_script
from utils.errors import UserError
from utils.files import load_torch, read_json, save_torch, write_json
from utils.image_io import read_image
from utils.script import describe

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
QUICK = ["--backend", BACKEND, "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_blob_run(tmp_path_factory.mktemp("render"))


def copy_of(run, folder):
    """A model folder like `run` on the same data set, to write into."""
    return Path(shutil.copytree(run, folder / "run", ignore=shutil.ignore_patterns("train", "test")))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_train_and_test_views_land_where_graphdeco_puts_them(run):
    script.main(["-m", str(run), *QUICK])
    for split, count in (("train", 7), ("test", 1)):
        folder = run / split / "ours_30"
        assert names(folder) == ["depth", "feature_map", "gt", "manifest.json", "renders", "saved_feature"]
        for kind in ("renders", "gt", "depth"):
            assert names(folder / kind) == [f"{i:05d}.png" for i in range(count)]
        assert len(read_json(folder / "manifest.json")["frames"]) == count
    saved = load_torch(run / "test" / "ours_30" / "saved_feature" / "00000_fmap_CxHxW.pt")
    assert saved.shape == (4, 40, 48) and saved.dtype == torch.float16
    assert (run / "point_cloud" / "iteration_30" / "feature_pca.safetensors").is_file()


def test_the_render_of_a_perfect_model_is_the_photo(run):
    script.main(["-m", str(run), "--skip_train", *QUICK])
    folder = run / "test" / "ours_30"
    render, photo = (read_image(folder / kind / "00000.png").astype(int) for kind in ("renders", "gt"))
    assert np.abs(render - photo).max() <= 1


def test_novel_views_and_their_videos(run, monkeypatch):
    pytest.importorskip("av")
    monkeypatch.setattr(script, "SPIRAL_VIEWS", 4)
    words = ["--skip_train", "--skip_test", "--video", "--num_views", "3", "--no_save_features", "--no_depth"]
    script.main(["-m", str(run), *words, *QUICK])
    for name in ("novel_views", "orbit"):
        folder = run / name / "ours_30"
        assert names(folder) == ["feature_map", "manifest.json", "renders"]
        assert len(names(folder / "renders")) == 3
    videos = [f"{name}{kind}.mp4" for name in ("novel_views", "orbit") for kind in ("", "_fmap")]
    assert names(run / "videos_30") == sorted(videos)
    assert names(run / "video" / "ours_30") == [*(f"{i:05d}.png" for i in range(4)), "final_video.mp4"]


def test_novel_video_is_the_way_from_the_first_to_the_last_camera(run):
    pytest.importorskip("av")
    words = ["--skip_train", "--skip_test", "--novel_video", "--num_views", "2", "--no_save_features", "--no_depth"]
    script.main(["-m", str(run), *words, *QUICK])
    frames = read_json(run / "novel_video" / "ours_30" / "manifest.json")["frames"]
    assert [frame["image_name"] for frame in frames] == ["lerp_00000", "lerp_00001"]
    assert (run / "videos_30" / "novel_video.mp4").is_file()


def test_cameras_of_a_file_are_rendered_as_they_are(run, tmp_path):
    path = tmp_path / "cameras.json"
    records = [camera_record(camera, index) for index, camera in enumerate(ring_cameras(8, 24, 20)[:1])]
    path.write_text(json.dumps(records))
    words = ["--skip_train", "--skip_test", "--novel_view", "--path", "file", "--camera_path", str(path)]
    script.main(["-m", str(run), *words, *QUICK])
    small = read_image(run / "camera_path" / "ours_30" / "renders" / "00000.png").astype(int)
    script.main(["-m", str(run), "--skip_train", *QUICK])
    large = read_image(run / "test" / "ours_30" / "renders" / "00000.png").astype(int)
    assert small.shape == (20, 24, 3)
    assert np.abs(small - large.reshape(20, 2, 24, 2, 3).mean((1, 3))).mean() < 4, "the test view at half the size"


def test_in_betweens_leave_the_photographed_views_out(run):
    script.main(["-m", str(run), "--skip_train", "--skip_test", "--novel_view", "--multi_interpolate", *QUICK])
    assert len(names(run / "novel_views_multi_interpolate" / "ours_30" / "renders")) == 2 * 6


def write_teacher(run, size=(10, 12), channels=4, views=7):
    """Maps in Feature 3DGS's layout for the first training views; returns their folder."""
    folder = run / "maps"
    folder.mkdir(exist_ok=True)
    for index in range(1, views + 1):
        save_torch(folder / f"train__{index:03d}_fmap_CxHxW.pt", torch.rand(channels, *size).half())
    return folder


@pytest.mark.parametrize(("where", "size"), [("image", (40, 48)), ("teacher", (10, 12))])
def test_the_teachers_maps_are_shown_beside_the_features(run, tmp_path, where, size):
    run = copy_of(run, tmp_path)
    maps = write_teacher(run, views=5)
    script.main(["-m", str(run), "--skip_test", "--feature_cache", str(maps), "--feature_res", where, *QUICK])
    folder = run / "train" / "ours_30"
    assert len(names(folder / "feature_map")) == 7
    assert names(folder / "gt_feature_map") == [f"{i:05d}_feature_vis.png" for i in range(5)], "those that there are"
    assert read_image(folder / "feature_map" / "00000_feature_vis.png").shape[:2] == size
    assert read_image(folder / "gt_feature_map" / "00000_feature_vis.png").shape[:2] == (10, 12)
    assert load_torch(folder / "saved_feature" / "00000_fmap_CxHxW.pt").shape == (4, 10, 12)


@pytest.mark.parametrize("damage", ["another width", "truncated"])
def test_teacher_maps_that_do_not_fit_are_left_out(run, tmp_path, damage, capsys):
    run = copy_of(run, tmp_path)
    maps = write_teacher(run, channels=9 if damage == "another width" else 4)
    if damage == "truncated":
        (maps / "train__003_fmap_CxHxW.pt").write_bytes(b"PK")
    script.main(["-m", str(run), "--skip_test", "--feature_cache", str(maps), "--no_depth", *QUICK])
    folder = run / "train" / "ours_30"
    assert len(names(folder / "renders")) == 7
    shown = capsys.readouterr()
    if damage == "truncated":
        assert len(names(folder / "gt_feature_map")) == 6 and "003_fmap_CxHxW.pt" in shown.err
    else:
        assert not (folder / "gt_feature_map").exists() and "no gt_feature_map" in shown.out


@pytest.fixture
def label_run(run, tmp_path):
    """A model of the classes nothing, red, green and blue, whose Gaussians are sure of their ball."""
    logits = 9.0 * torch.nn.functional.one_hot(blob_labels() + 1, 4).float()
    copy = with_features(copy_of(run, tmp_path), logits)
    write_json(copy / "label_classes.json", ["nothing", "red", "green", "blue"])
    return copy


def with_features(run, features):
    """The run with other features of its Gaussians."""
    arrays = blob_model().with_features(features).to_arrays()
    write_splats(run / "point_cloud" / "iteration_30" / "point_cloud.ply", arrays)
    return run


@pytest.mark.parametrize("loss", ["ce", "nll_prob"])
def test_a_model_of_labels_is_shown_as_labels(run, label_run, loss):
    script.main(["-m", str(label_run), "--skip_train", "--label_loss", loss, *QUICK])
    folder = label_run / "test" / "ours_30"
    expected = ["depth", "gt", "gt_labels", "label_legend.png", "labels", "manifest.json", "renders", "saved_labels"]
    assert names(folder) == expected
    saved = load_torch(folder / "saved_labels" / "00000_label_CxHxW.pt").numpy()
    truth = read_image(run.parent / "data" / "labels" / "test__000.png")[..., 0]
    assert (saved[truth > 0] == truth[truth > 0]).mean() > 0.95
    rendered, true = (read_image(folder / kind / "00000.png").astype(int) for kind in ("labels", "gt_labels"))
    inside = truth > 0
    assert np.median(np.abs(rendered - true)[inside].max(1)) < 10, "the same colours"


WORDS = ("red", "green", "blue")


def word_run(run, folder, decoder=None):
    """A model whose balls have the vectors of their colours' names, directly or through a decoder."""
    vectors = torch.from_numpy(np.stack([word_vector(word, 16) for word in WORDS]))
    copy = with_features(copy_of(run, folder), (vectors if decoder is None else torch.eye(3))[blob_labels()])
    TeacherRecord("oracle_words", 16).save(copy)
    if decoder is not None:
        with torch.no_grad():
            decoder.linear.weight.copy_(vectors.T)
            decoder.linear.bias.copy_(0.05 * vectors.mean(0))
        decoder.save(decoder_path(copy, 30))
    return copy


def edit_file(folder, operation, target, **more):
    lines = {"objects": "[red, green, blue, sky]", "operations": operation, "targets": target} | more
    path = folder / "edit.yaml"
    path.write_text("edit:\n" + "".join(f"  {key}: {value}\n" for key, value in lines.items()))
    return str(path)


def brightness(run, method):
    """Sum over pixels [3] of the channels of the held-out view: red, green and blue balls."""
    return read_image(run / "test" / method / "renders" / "00000.png").reshape(-1, 3).astype(float).sum(0)


@pytest.mark.parametrize("decoder", [None, LinearDecoder(3, 16)], ids=["direct", "decoder"])
def test_edits_by_words(run, tmp_path, decoder):
    pytest.importorskip("yaml")
    run = word_run(run, tmp_path, decoder)
    words = ["-m", str(run), "--skip_train", *QUICK]
    script.main([*words, "--edit_config", "no editing"])
    script.main([*words, "--edit_config", edit_file(tmp_path, "extraction", "red")])
    script.main([*words, "--edit_config", edit_file(tmp_path, "deletion", "red", threshold=0.9, temperature=0.05)])
    swap = edit_file(tmp_path, "color_func", "red", colorFunc="swap_rgb")
    script.main([*words, "--edit_config", swap])
    methods = ["ours_30", "ours_30_color_func_red", "ours_30_deletion_red", "ours_30_extraction_red"]
    assert names(run / "test") == methods
    assert names(run / "test" / methods[1]) == ["feature_map", "gt", "manifest.json", "renders"]
    all_of_it, swapped, without, only = (brightness(run, method) for method in methods)
    assert only[0] > 6 * max(only[1:]) and only[0] < all_of_it[0]
    assert without[0] < 0.3 * all_of_it[0] and without[1] > 0.85 * all_of_it[1]
    assert swapped[0] < 0.5 * all_of_it[0] and swapped[2] > 1.5 * all_of_it[2]


def test_edits_of_a_model_of_labels(label_run, tmp_path):
    pytest.importorskip("yaml")
    file = edit_file(tmp_path, "deletion", "green", threshold=0.5)
    script.main(["-m", str(label_run), "--skip_train", "--edit_config", file, *QUICK])
    method = "ours_30_deletion_green"
    assert "labels" in names(label_run / "test" / method)
    red, green, blue = brightness(label_run, method)
    assert green < 0.5 * min(red, blue)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "bus"}, "'bus' is none of the objects"),
        ({"template": "photo"}, "template is 'photo'"),
        ({"features": None}, "has no features; --edit_config needs some"),
        ({"teacher": "classical"}, "'classical' knows no words"),
    ],
)
def test_an_edit_that_cannot_be_is_one_line(run, tmp_path, change, message):
    pytest.importorskip("yaml")
    run = word_run(run, tmp_path)
    if "features" in change:
        with_features(run, change["features"])
    TeacherRecord(change.get("teacher", "oracle_words"), 16).save(run)
    file = edit_file(tmp_path, "deletion", change.get("target", "red"), template=change.get("template", "none"))
    with pytest.raises(UserError, match=message):
        script.main(["-m", str(run), "--edit_config", file, *QUICK])


def test_an_edit_file_that_is_not_there_is_named(run):
    pytest.importorskip("yaml")
    with pytest.raises(FileNotFoundError) as caught:
        script.main(["-m", str(run), "--edit_config", "nope.yaml", *QUICK])
    assert describe(caught.value) == "nope.yaml: No such file or directory"


def test_an_iteration_that_is_not_saved_is_named(run):
    with pytest.raises(UserError, match="iteration 7 is not in .*; saved are 30"):
        script.main(["-m", str(run), "--iteration", "7", *QUICK])


def test_a_truncated_model_ends_the_script_with_one_line(run, tmp_path):
    run = copy_of(run, tmp_path)
    path = run / "point_cloud" / "iteration_30" / "point_cloud.ply"
    path.write_bytes(path.read_bytes()[:2000])
    assert_one_line_error(run_script("render.py", "-m", run, *QUICK), "point_cloud.ply")


def test_a_folder_without_a_model_ends_the_script_with_one_line(tmp_path):
    assert_one_line_error(run_script("render.py", "-m", tmp_path, *QUICK), str(tmp_path))
