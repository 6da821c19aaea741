"""What the sinks write can be read back: pictures, tensors, videos, the manifest, the colour basis."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gaussian_renderer import render, sinks
from gaussian_renderer.feature_basis import evenly_spread, scene_basis
from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.frames import render_frames
from tests.blobs import COLORS, REFERENCE, blob_model, ring_cameras
from utils.files import load_torch, read_json
from utils.image_io import read_image
from utils.pca import Pca


def show(out, *chosen, count=2, settings=REFERENCE, model=None):
    render_frames(ring_cameras(count), model or blob_model(), chosen, settings=settings)
    return sorted(path.name for path in out.glob("*"))


def test_renders_are_numbered_pngs_of_the_colours(tmp_path):
    names = show(tmp_path, sinks.FolderSink(tmp_path, sinks.color_picture))
    assert names == ["00000.png", "00001.png"]
    pixels = read_image(tmp_path / "00000.png").reshape(-1, 3) / 255
    for color in COLORS[:2].numpy():
        assert np.abs(pixels - color).max(1).min() < 0.05


def test_depth_is_red_near_and_black_where_empty(tmp_path):
    show(tmp_path, sinks.FolderSink(tmp_path, sinks.depth_picture), count=1)
    pixels = read_image(tmp_path / "00000.png")
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels.reshape(-1, 3).std(0).max() > 10


def test_video_holds_all_frames(tmp_path):
    iio = pytest.importorskip("imageio.v3")
    pytest.importorskip("av")
    show(tmp_path, sinks.VideoSink(tmp_path / "a.mp4", sinks.color_picture, fps=5), count=3)
    assert iio.imread(tmp_path / "a.mp4", plugin="pyav").shape == (3, 40, 48, 3)


def test_saved_features_have_the_layout_of_feature_3dgs(tmp_path):
    torch.manual_seed(0)
    settings = replace(REFERENCE, feature_size=(10, 12))
    names = show(tmp_path, sinks.SavedFeatureSink(tmp_path, LinearDecoder(4, 7)), settings=settings)
    assert names == ["00000_fmap_CxHxW.pt", "00001_fmap_CxHxW.pt"]
    saved = load_torch(tmp_path / names[0])
    assert saved.shape == (7, 10, 12) and saved.dtype == torch.float16


def test_manifest_says_which_number_is_which_view(tmp_path):
    show(tmp_path, sinks.ManifestSink(tmp_path / "manifest.json"))
    rows = read_json(tmp_path / "manifest.json")["frames"]
    assert rows[1] == {"index": 1, "image_name": "001.png", "width": 48, "height": 40, "time": 0.0}


def test_one_colour_basis_serves_all_frames(tmp_path):
    cameras, model, path = ring_cameras(4), blob_model(noise=0.0), tmp_path / "pca.safetensors"
    basis = scene_basis(path, cameras, model, REFERENCE)
    assert torch.equal(scene_basis(path, cameras[:1], model, REFERENCE).basis, basis.basis), "stored, not fitted again"
    picture = sinks.feature_picture(basis)
    show(tmp_path, sinks.FolderSink(tmp_path, picture, needs_features=True), model=model)
    expected = (basis.apply(torch.eye(3, 4)) * 255).numpy()  # the balls' features as colours
    for index in (0, 1):
        pixels = read_image(tmp_path / f"0000{index}.png").reshape(-1, 3).astype(float)
        for color in expected[:2]:
            assert np.abs(pixels - color).max(1).min() < 12, "a ball has its own colour in every view"


def test_a_basis_of_another_width_is_fitted_again(tmp_path):
    path = tmp_path / "pca.safetensors"
    Pca(torch.zeros(9), torch.zeros(9, 3), torch.zeros(3), torch.ones(3)).save(path)
    assert scene_basis(path, ring_cameras(1), blob_model(), REFERENCE).mean.shape == (4,)


def test_saved_features_are_read_at_the_teachers_cells(tmp_path):
    """The centre of a cell of 4 x 4 pixels lies between its four inner ones; aligned corners read corner pixels."""
    model, (camera,) = blob_model(), ring_cameras(1)
    features = render(camera, model, settings=REFERENCE).features
    edge = sinks.MapLayout((10, 12), (0.5 / 12, 1 / 12, 0.5 / 10, 1 / 10))
    halves = features.unfold(1, 4, 4).unfold(2, 4, 4)[..., 1:3, 1:3].mean((-2, -1))
    torch.testing.assert_close(edge.read(features, camera), halves, atol=1e-5, rtol=0)
    corners = sinks.MapLayout((10, 12)).read(features, camera)
    expected = F.interpolate(features[None], (10, 12), mode="bilinear", align_corners=True)[0]
    torch.testing.assert_close(corners, expected, atol=1e-5, rtol=0)
    assert edge.read(features[:, :10, :12], camera).shape == (4, 10, 12), "rendered at the teacher's size already"


def test_the_teachers_map_has_the_colours_of_the_rendered_features(tmp_path):
    cameras, model = ring_cameras(2), blob_model(noise=0.0)
    basis = scene_basis(tmp_path / "pca.safetensors", cameras, model, REFERENCE)
    with torch.no_grad():
        maps = {camera.image_name: render(camera, model, settings=REFERENCE).features for camera in cameras[:1]}
    student = sinks.FolderSink(tmp_path / "student", sinks.feature_picture(basis), needs_features=True)
    teacher = sinks.FolderSink(tmp_path / "teacher", sinks.teacher_picture(maps.get, basis))
    show(tmp_path, student, teacher, model=model)
    assert [path.name for path in (tmp_path / "teacher").iterdir()] == ["00000.png"], "only where there is a map"
    pixels = [read_image(tmp_path / name / "00000.png").astype(int) for name in ("student", "teacher")]
    with torch.no_grad():
        opaque = (render(cameras[0], model, settings=REFERENCE).alpha[0] > 0.999).numpy()
    assert opaque.sum() > 20 and np.abs(pixels[0] - pixels[1])[opaque].max() <= 1


def test_labels_are_colours_and_integers(tmp_path):
    palette = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, 1.0]])
    chosen = [
        sinks.FolderSink(tmp_path / "labels", sinks.label_picture(palette), needs_features=True),
        sinks.SavedLabelSink(tmp_path / "saved"),
    ]
    show(tmp_path, *chosen, count=1, model=blob_model(noise=0.0))
    saved = load_torch(tmp_path / "saved" / "00000_label_CxHxW.pt")
    assert saved.shape == (40, 48) and saved.dtype == torch.int64
    pixels = read_image(tmp_path / "labels" / "00000.png")
    assert pixels[0, 0].tolist() == [0, 0, 0], "nothing there"
    solid = pixels.max(2) > 250
    assert solid.sum() > 20 and (pixels[solid].argmax(1) == saved.numpy()[solid]).all()


def test_true_labels_have_the_same_colours_and_unknown_ones_are_black():
    palette, labels = torch.rand(3, 3), torch.tensor([[0, 2], [-1, 1]])
    colors = sinks.label_colors(labels, palette)
    torch.testing.assert_close(colors[:, 0, 1], palette[2])
    torch.testing.assert_close(colors[:, 1, 1], palette[1])
    assert not colors[:, 1, 0].any()


def test_a_feature_sink_without_features_says_so(tmp_path):
    picture = sinks.feature_picture(Pca(torch.zeros(4), torch.zeros(4, 3), torch.zeros(3), torch.ones(3)))
    with pytest.raises(ValueError, match="rendered without features"):
        show(tmp_path, sinks.FolderSink(tmp_path, picture, needs_features=False))


@pytest.mark.parametrize("count, expected", [(1, [0]), (3, [0, 4, 9]), (20, list(range(10)))])
def test_evenly_spread(count, expected):
    assert evenly_spread(list(range(10)), count) == expected
