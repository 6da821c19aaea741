"""videos.py: which folders become which videos, and what is wrong with a folder."""

import numpy as np
import pytest

import videos as script
from tests.helpers import assert_one_line_error, run_script
from utils.errors import UserError
from utils.image_io import write_png

av = pytest.importorskip("av")
iio = pytest.importorskip("imageio.v3")


def pictures(folder, count=3, size=(20, 31), name="{:05d}.png", level=0):
    for index in range(count):
        write_png(folder / name.format(index), np.full((*size, 3), level + 20 * index, np.uint8))


def made(model, *words):
    script.main(["--data", str(model), *words])
    return sorted(path.stem for folder in model.glob("videos_*") for path in folder.glob("*.mp4"))


def test_every_method_of_every_path_becomes_a_video(tmp_path):
    for method in ("ours_300", "ours_300_deletion_car", "ours_3000"):
        pictures(tmp_path / "novel_views" / method / "renders")
        pictures(tmp_path / "novel_views" / method / "feature_map", name="{:05d}_feature_vis.png")
    pictures(tmp_path / "orbit" / "ours_300" / "renders")
    pictures(tmp_path / "orbit" / "ours_300" / "labels")
    (tmp_path / "circle" / "ours_300" / "renders").mkdir(parents=True)
    expected = ["ours_300", "ours_300_deletion_car", "ours_300_deletion_car_fmap", "ours_300_fmap"]
    assert made(tmp_path, "--iteration", "300") == sorted([*expected, "orbit_ours_300", "orbit_ours_300_labels"])


def test_frames_are_in_order_padded_and_at_the_given_speed(tmp_path):
    pictures(tmp_path / "novel_views" / "ours_7" / "renders", count=4, size=(21, 31))
    assert made(tmp_path, "--fps", "5") == ["ours_7"]
    path = tmp_path / "videos_7" / "ours_7.mp4"
    frames = iio.imread(path, plugin="pyav")
    assert frames.shape == (4, 22, 32, 3)
    assert [round(float(frame.mean())) for frame in frames] == pytest.approx([0, 20, 40, 60], abs=6)
    assert iio.immeta(path, plugin="pyav")["fps"] == 5


def test_the_newest_step_is_the_default(tmp_path):
    for method in ("ours_900", "ours_7000"):
        pictures(tmp_path / "novel_views" / method / "renders")
    assert made(tmp_path) == ["ours_7000"]
    assert (tmp_path / "videos_7000").is_dir()


def test_a_segmentation_gives_one_video_per_kind_of_picture(tmp_path):
    folder = tmp_path / "seg_300_labels"
    for split in ("test", "novel_views"):
        pictures(folder / split, name="{:05d}_fmap_CxHxW.png")
        pictures(folder / split, name="{:05d}_fmap_CxHxW.png_vis.png", size=(20, 90))
        pictures(folder / split, name="{:05d}_fmap_CxHxW.png_legend.png", size=(77, 50))
    pictures(tmp_path / "seg_3000" / "novel_views")
    assert made(tmp_path, "--iteration", "300", "-f", "lseg") == ["seg_300_labels", "seg_300_labels_vis"]
    assert iio.imread(tmp_path / "videos_300" / "seg_300_labels_vis.mp4", plugin="pyav").shape[1:3] == (20, 90)


def test_with_sam_every_split_of_a_segmentation_gives_a_video(tmp_path):
    for split in ("train", "test", "novel_views"):
        pictures(tmp_path / "seg_box_point_300_img" / split, name="frame_{:04d}.png")
    names = [f"seg_box_point_300_img_{split}" for split in ("test", "train", "views")]
    assert made(tmp_path, "--iteration", "300", "-f", "sam") == names


def test_pictures_of_another_size_are_left_out_aloud(tmp_path, capsys):
    folder = tmp_path / "novel_views" / "ours_7" / "renders"
    pictures(folder, count=5)
    pictures(folder, count=2, size=(8, 8))
    assert made(tmp_path) == ["ours_7"]
    assert "2 of 5 pictures are not 31x20 px" in capsys.readouterr().err
    assert len(iio.imread(tmp_path / "videos_7" / "ours_7.mp4", plugin="pyav")) == 3


@pytest.mark.parametrize("words", [[], ["--iteration", "300"]])
def test_without_novel_views_there_is_one_line_with_the_cure(tmp_path, words):
    with pytest.raises(UserError, match="no views of a new path.*render.py -m .* --novel_view"):
        script.main(["--data", str(tmp_path), *words])


def test_a_folder_that_is_not_there_ends_the_script_with_one_line(tmp_path):
    assert_one_line_error(run_script("videos.py", "--data", tmp_path / "nope"), "no such folder")


def test_a_broken_picture_is_named_and_leaves_no_video(tmp_path):
    folder = tmp_path / "novel_views" / "ours_7" / "renders"
    pictures(folder)
    (folder / "00001.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="00001.png is not a readable image"):
        script.main(["--data", str(tmp_path)])
    assert not list(tmp_path.rglob("*.mp4"))
