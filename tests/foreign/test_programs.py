"""Our files are opened by programs that we did not write: splat-transform of PlayCanvas, and a WebGL viewer."""

from __future__ import annotations

import numpy as np
import pytest

from gaussian_renderer import RenderSettings, render
from scene.formats import read_splats, write_splats
from scene.gaussian_model import GaussianModel
from tests.blobs import blob_model, ring_cameras
from tests.foreign.browser import need_packages, picture_in_viewer
from tests.scene.formats.arrays import cloud, differences
from utils.node_tools import find_program, run_program

PACKAGE = "@playcanvas/splat-transform"


@pytest.mark.parametrize("ending", [".ply", ".compressed.ply", ".splat"])
@pytest.mark.parametrize("degree", [0, 3])
def test_splat_transform_reads_the_same_gaussians(tmp_path, ending, degree):
    need_packages(PACKAGE)
    degree = 0 if ending == ".splat" else degree
    arrays, ours, theirs = cloud(degree=degree), tmp_path / f"a{ending}", tmp_path / "back.ply"
    write_splats(ours, arrays)
    run_program([*find_program("splat-transform", PACKAGE), "-q", str(ours), str(theirs)], ours.name)
    found = differences(read_splats(theirs), read_splats(ours))
    assert found.xyz < 1e-5 and found.scaling < 1e-5 and found.color < 1e-5 and found.rotation < 5e-5
    assert found.opacity < 1e-5 and found.rest <= 1 / 64  # of bytes it takes the ends as -4 and 4
    assert differences(read_splats(theirs), arrays).xyz < np.ptp(arrays.xyz) / 1023


@pytest.mark.parametrize("ending", [".ply", ".splat"])
def test_a_viewer_shows_what_we_render(tmp_path, ending):
    model = GaussianModel.from_arrays(blob_model(feature_dim=2).with_features(None).to_arrays())
    camera = ring_cameras(6, width=160, height=120)[1]
    write_splats(tmp_path / f"a{ending}", model.to_arrays())
    shown = picture_in_viewer(tmp_path / f"a{ending}", camera, degree=0).astype(np.float64)
    ours = render(camera, model, settings=RenderSettings(backend="reference")).color.detach()
    ours = ours.clamp(0, 1).permute(1, 2, 0).numpy() * 255
    assert shown.shape == ours.shape and shown.max() > 150 and (shown.max(axis=2) > 20).mean() > 0.03
    error = np.sqrt(((shown - ours) ** 2).mean())
    assert error < 4, f"root mean square error {error:.1f} of 255"
    mirrored = np.sqrt(((shown[:, ::-1] - ours) ** 2).mean())
    assert mirrored > 4 * error, "the comparison would not notice a mirror image"
