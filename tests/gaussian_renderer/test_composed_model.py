"""Model folders going into a composition and coming out of it."""

import numpy as np
import pytest
import torch

from arguments import SemanticParams, load_config
from gaussian_renderer.composed_model import open_source, write_model
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from scene.composition.bake import bake
from scene.composition.layers import Composition, Layer
from scene.composition.stage import Stage
from scene.formats import write_splats
from tests.blobs import blob_model, write_blob_run
from utils.errors import UserError
from utils.files import write_json


@pytest.fixture
def run(tmp_path):
    return write_blob_run(tmp_path)


def baked(layer):
    return bake(Stage(Composition((layer,), layer.name), {layer.name: open_source(layer, "cpu")}, (0.0, 1.0)))


def test_what_is_written_is_what_is_read(run, tmp_path):
    LinearDecoder(4, 6).save(decoder_path(run, 30))
    write_json(run / "teacher.json", {"name": "oracle"})
    layer = Layer("balls", model=str(run))
    result = baked(layer)
    write_model(tmp_path / "out", result, run, 30)
    back = open_source(Layer("again", model=str(tmp_path / "out")), "cpu")
    assert back.folder == tmp_path / "out" and back.model.motion.kind == "per_timestep"
    for name, values in result.gaussians.named().items():
        np.testing.assert_array_equal(values, back.model.to_arrays().named()[name])
    torch.testing.assert_close(back.model.at(1.0).means, result.trajectories.means[1])
    assert decoder_path(tmp_path / "out", 30).is_file() and (tmp_path / "out" / "teacher.json").is_file()
    assert load_config(tmp_path / "out", SemanticParams) == load_config(run, SemanticParams)


def test_without_features_nothing_of_theirs_is_written(run, tmp_path):
    write_json(run / "teacher.json", {"name": "oracle"})
    plain = Layer("plain", ply=str(tmp_path / "plain.ply"))
    write_splats(tmp_path / "plain.ply", blob_model().with_features(None).to_arrays())
    write_model(tmp_path / "out", baked(plain), run, 30)
    assert not (tmp_path / "out" / "teacher.json").exists()


def test_what_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(UserError, match="no saved iteration"):
        open_source(Layer("a", model=str(tmp_path)), "cpu")
    empty = blob_model().subset(torch.zeros(120, dtype=torch.bool))
    write_splats(tmp_path / "empty.ply", empty.to_arrays())
    with pytest.raises(UserError, match="has no Gaussians"):
        open_source(Layer("a", ply=str(tmp_path / "empty.ply")), "cpu")
