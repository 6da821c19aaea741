"""render.py on a small perfect model."""

import numpy as np
import pytest
import torch

import render as script
from tests.blobs import write_blob_run
from tests.helpers import assert_one_line_error, run_script
from utils.errors import UserError
from utils.files import load_torch, read_json
from utils.image_io import read_image

QUICK = ["--backend", "reference", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_blob_run(tmp_path_factory.mktemp("render"))


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


def test_novel_views_and_their_videos(run):
    pytest.importorskip("av")
    words = ["--skip_train", "--skip_test", "--video", "--num_views", "3", "--no_save_features", "--no_depth"]
    script.main(["-m", str(run), *words, *QUICK])
    for name in ("novel_views", "orbit"):
        folder = run / name / "ours_30"
        assert names(folder) == ["feature_map", "manifest.json", "renders"]
        assert len(names(folder / "renders")) == 3
    videos = [f"{name}{kind}.mp4" for name in ("novel_views", "orbit") for kind in ("", "_fmap")]
    assert names(run / "videos_30") == sorted(videos)


def test_in_betweens_leave_the_photographed_views_out(run):
    script.main(["-m", str(run), "--skip_train", "--skip_test", "--novel_view", "--multi_interpolate", *QUICK])
    assert len(names(run / "novel_views_multi_interpolate" / "ours_30" / "renders")) == 2 * 6


def test_an_iteration_that_is_not_saved_is_named(run):
    with pytest.raises(UserError, match="iteration 7 is not in .*; saved are 30"):
        script.main(["-m", str(run), "--iteration", "7", *QUICK])


def test_a_truncated_model_ends_the_script_with_one_line(tmp_path):
    run = write_blob_run(tmp_path)
    path = run / "point_cloud" / "iteration_30" / "point_cloud.ply"
    path.write_bytes(path.read_bytes()[:2000])
    assert_one_line_error(run_script("render.py", "-m", run, *QUICK), "point_cloud.ply")


def test_a_folder_without_a_model_ends_the_script_with_one_line(tmp_path):
    assert_one_line_error(run_script("render.py", "-m", tmp_path, *QUICK), str(tmp_path))
