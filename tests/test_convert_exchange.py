"""convert.py with models and cameras of other programs, from the command line to pictures of render.py."""

from __future__ import annotations

import ndraster
import numpy as np
import pytest

import render
from convert import main
from gaussian_renderer.feature_decoder import LinearDecoder
from scene.formats import read_splats, write_splats
from scene.formats.ply import write_ply
from tests.blobs import blob_model, write_blob_run
from tests.helpers import assert_one_line_error, data_path, run_script
from tests.scene.formats.arrays import cloud
from utils.errors import UserError
from utils.files import read_json, write_json
from utils.image_io import read_image

QUIET = ["--quiet"]
BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
LOCAL = ["--device", "cpu", "--backend", BACKEND, "--skip_train", "--no_depth", "--quiet"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("exchange")
    write_blob_run(root)
    return root


def foreign_folder(root, name, prefix, feature_dim=4):
    """A model folder as another program leaves it: cfg_args of a machine that is not this one, and a PLY."""
    folder = root / name
    folder.mkdir()
    options = "sh_degree=0, source_path='/elsewhere/data', model_path='x', images='images', resolution=-1, eval=True"
    (folder / "cfg_args").write_text(f"Namespace({options})")
    model = blob_model(feature_dim=feature_dim)
    write_ply(folder / "point_cloud/iteration_7000/point_cloud.ply", model.to_arrays(), prefix)
    return folder


def rendered(folder):
    """The test view that render.py makes of a model folder."""
    render.main(["-m", f"{folder}", *LOCAL])
    (picture,) = sorted((folder / "test").glob("ours_*/renders/*.png"))
    return read_image(picture).astype(int)


@pytest.mark.parametrize("prefix", ["semantic_", "sem_", "label_"])
def test_a_foreign_folder_is_imported_and_rendered(root, tmp_path, prefix):
    folder = foreign_folder(tmp_path, "theirs", prefix)
    if prefix == "semantic_":
        LinearDecoder(4, 8).save(folder / "decoder_chkpnt7000.pth")
    main(["--mode", "splats", "-s", f"{folder}", "-o", f"{tmp_path / 'ours'}", "--data", f"{root / 'data'}", *QUIET])
    picture = rendered(tmp_path / "ours")
    truth = read_image(root / "data/test/000.png").astype(int)
    assert np.abs(picture - truth[..., :3]).mean() < 3 and picture.max() > 150
    kind = read_json(tmp_path / "ours/config.json")["SemanticParams"]["foundation_model"]
    assert (kind == "label") == (prefix == "label_")


@pytest.mark.parametrize("layout", ["graphdeco", "feature3dgs", "dgd"])
def test_there_and_back_is_the_same_picture(root, tmp_path, layout):
    main(["--mode", "splats", "-m", f"{root / 'run'}", "-o", f"{tmp_path / 'theirs'}", "--layout", layout,
          "--checkpoint", *QUIET])  # fmt: skip
    assert (tmp_path / "theirs/chkpnt30.pth").is_file()
    main(["--mode", "splats", "-s", f"{tmp_path / 'theirs'}", "-o", f"{tmp_path / 'ours'}", *QUIET])
    np.testing.assert_array_equal(rendered(tmp_path / "theirs"), rendered(root / "run"))
    np.testing.assert_array_equal(rendered(tmp_path / "ours"), rendered(root / "run"))


def test_an_earlier_model_is_kept(root, tmp_path):
    words = ["--mode", "splats", "-m", f"{root / 'run'}", "-o", f"{tmp_path / 'out'}", *QUIET]
    main(words)
    main([*words, "--no_features"])
    assert read_splats(tmp_path / "out/point_cloud/iteration_30/point_cloud.ply").semantic_feature is None
    kept = tmp_path / "out/earlier_runs/1/point_cloud/iteration_30/point_cloud.ply"
    assert read_splats(kept).semantic_feature is not None


def test_a_bad_input_leaves_an_earlier_model_alone(root, tmp_path):
    main(["--mode", "splats", "-m", f"{root / 'run'}", "-o", f"{tmp_path / 'out'}", *QUIET])
    (tmp_path / "bad.splat").write_bytes(b"x" * 33)
    result = run_script("convert.py", "--mode", "splats", "-s", tmp_path / "bad.splat", "-o", tmp_path / "out")
    assert_one_line_error(result, "bad.splat", "expected 32 for each")
    assert not (tmp_path / "out/earlier_runs").exists()


def test_cameras_of_a_path_made_here_are_rendered_again(root, tmp_path):
    run, path = root / "run", tmp_path / "way.nerfstudio.json"
    new = ["--skip_test", "--novel_view", "--num_views", "3", "--no_save_features"]
    render.main(["-m", f"{run}", *LOCAL, *new, "--path", "orbit", "--save_path", f"{path}"])
    main(["--mode", "cameras", "-s", f"{path}", "-o", f"{tmp_path / 'way.json'}", *QUIET])
    for file in (path, tmp_path / "way.json"):
        render.main(["-m", f"{run}", *LOCAL, *new, "--path", "file", "--camera_path", f"{file}"])
        for name in ("00000.png", "00002.png"):
            pictures = [read_image(run / folder / "ours_30/renders" / name) for folder in ("orbit", "camera_path")]
            assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mode", "splats"], "expected -s INPUT or -m MODEL, and -o OUTPUT"),
        (["--mode", "splats", "-s", "a", "-m", "b", "-o", "c"], "expected -s INPUT or -m MODEL"),
        (["--mode", "splats", "-s", "none.ply", "-o", "c"], "no such file or folder"),
        (["--mode", "cameras", "-s", "none"], "expected -s INPUT or -m MODEL"),
        (["--mode", "cameras", "-s", "none", "-o", "c"], "no such folder"),
    ],
)
def test_wrong_command_lines_are_one_line(words, message):
    with pytest.raises(UserError, match=message) as caught:
        main(words)
    assert "\n" not in str(caught.value)


def test_a_real_graphdeco_folder_is_imported(tmp_path):
    """cfg_args and cameras.json of graphdeco's own program, with the Gaussians of another file."""
    sample, folder = data_path("graphdeco_output_sample"), tmp_path / "theirs"
    folder.mkdir()
    for name in ("cfg_args", "cameras.json"):
        (folder / name).write_bytes((sample / name).read_bytes())
    write_splats(folder / "point_cloud/iteration_30000/point_cloud.ply", cloud(9))
    main(["--mode", "splats", "-s", f"{folder}", "-o", f"{tmp_path / 'ours'}", *QUIET])
    assert read_json(tmp_path / "ours/cameras.json") == read_json(sample / "cameras.json")
    main(["--mode", "cameras", "-m", f"{folder}", "-o", f"{tmp_path / 'a.nerfstudio.json'}", *QUIET])
    path = read_json(tmp_path / "a.nerfstudio.json")["camera_path"]
    assert len(path) == len(read_json(sample / "cameras.json"))
    write_json(tmp_path / "theirs/cameras.json", {"no": "list"})
    with pytest.raises(ValueError, match="cameras.json"):
        main(["--mode", "splats", "-s", f"{folder}", "-o", f"{tmp_path / 'again'}", *QUIET])
