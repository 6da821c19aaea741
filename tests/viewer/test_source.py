import shutil

import pytest
import torch

from arguments import ModelParams, PipelineParams, SemanticParams, ViewParams, load_config
from scene.formats import write_splats
from scene.scene_info import DatasetError
from tests.blobs import blob_model, write_blob_run
from utils.files import write_json
from viewer.source import open_source


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_blob_run(tmp_path_factory.mktemp("run"))


def opened(model: ModelParams, **options):
    return open_source(model, PipelineParams(), SemanticParams(foundation_model="oracle"), ViewParams(**options))


def test_a_model_folder_with_its_photographs(run):
    source = opened(load_config(run, ModelParams))
    assert (len(source.train), len(source.test), source.iteration) == (7, 1, 30)
    assert source.model_path == run and source.folder == run / "viewer" and source.teacher.name == "oracle"
    assert source.images.get(source.train[0]).image.shape == (3, 40, 48)
    snapshot = source.now()
    assert not snapshot.model.means.requires_grad
    assert torch.equal(source.comparable(snapshot), snapshot.model.features)
    assert [view.image_name for view in source.views] == sorted(v.image_name for v in source.train) + ["test/000.png"]


def test_a_model_whose_data_set_is_gone_is_shown_with_its_cameras(run, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    model = ModelParams(source_path=str(tmp_path / "nowhere"), model_path=str(folder))
    with pytest.raises((DatasetError, OSError)):
        opened(model)
    whole = opened(load_config(run, ModelParams))
    from scene.cameras import camera_record

    write_json(folder / "cameras.json", [camera_record(camera, i) for i, camera in enumerate(whole.views)])
    source = opened(model)
    assert "shown without photographs" in capsys.readouterr().err
    assert len(source.views) == 8 and source.views[0].info is None
    torch.testing.assert_close(source.surroundings.centre, whole.surroundings.centre, atol=0.05, rtol=0)


def test_a_splat_file_alone_and_with_photographs(run, tmp_path):
    write_splats(tmp_path / "cat.ply", blob_model().to_arrays())
    alone = opened(ModelParams(), ply=str(tmp_path / "cat.ply"))
    assert alone.model_path is None and alone.folder == tmp_path / "cat_viewer" and not alone.views
    assert len(alone.vantages) > 3 and alone.times == (0.0, 1.0)
    data = load_config(run, ModelParams).source_path
    both = opened(ModelParams(source_path=data, eval=True), ply=str(tmp_path / "cat.ply"))
    assert len(both.train) == 7 and both.images is not None
