"""Opening a model folder: which iteration, which decoder, and what is wrong with it."""

from dataclasses import replace

import pytest

from arguments import ModelParams, PipelineParams, save_config
from gaussian_renderer.feature_decoder import LinearDecoder, decoder_path
from gaussian_renderer.trained import classes_path, open_trained, render_settings, resolve_iteration
from scene.exposure import Exposures, identity
from tests.blobs import write_blob_run
from utils.errors import UserError
from utils.files import write_json


def touch_iterations(folder, *iterations):
    for iteration in iterations:
        path = folder / "point_cloud" / f"iteration_{iteration}" / "point_cloud.ply"
        path.parent.mkdir(parents=True)
        path.touch()


def test_the_latest_iteration_is_the_largest_number(tmp_path):
    touch_iterations(tmp_path, 7000, 30000, 900)
    assert resolve_iteration(tmp_path, -1) == 30000
    assert resolve_iteration(tmp_path, 900) == 900
    with pytest.raises(UserError, match="iteration 5 is not in .*; saved are 900, 7000, 30000"):
        resolve_iteration(tmp_path, 5)


def test_a_folder_without_saved_iterations_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no saved iteration in it"):
        resolve_iteration(tmp_path, -1)


def test_model_and_decoder_come_back_without_gradients(tmp_path):
    run = write_blob_run(tmp_path)
    LinearDecoder(4, 6).save(decoder_path(run, 30))
    options = ModelParams(source_path=str(tmp_path / "data"), model_path=str(run), eval=True, device="cpu")
    trained = open_trained(options)
    assert trained.iteration == 30 and trained.model.num_gaussians == 120
    assert len(trained.scene.train) == 7 and len(trained.scene.test) == 1
    assert trained.decoder.teacher_dim == 6 and trained.background.tolist() == [0, 0, 0]
    parameters = [*trained.model.params.values(), *trained.decoder.parameters()]
    assert not any(parameter.requires_grad for parameter in parameters)


def test_class_names_come_with_a_model_of_labels(tmp_path):
    run = write_blob_run(tmp_path)
    options = ModelParams(source_path=str(tmp_path / "data"), model_path=str(run), eval=True, device="cpu")
    assert open_trained(options).classes == ()
    write_json(classes_path(run), ["a", "b", "c", "d"])
    assert open_trained(options).classes == ("a", "b", "c", "d")
    for wrong in (["a", "b", "c"], ["a", "b", "c", 4], {"a": 1}):
        write_json(classes_path(run), wrong)
        with pytest.raises(UserError, match=r"label_classes\.json: expected a list of 4 class names"):
            open_trained(options)


def test_a_decoder_of_another_run_is_named(tmp_path):
    run = write_blob_run(tmp_path)
    LinearDecoder(5, 6).save(decoder_path(run, 30))
    options = ModelParams(source_path=str(tmp_path / "data"), model_path=str(run), eval=True, device="cpu")
    with pytest.raises(UserError, match="decodes width 5, the Gaussians have 4"):
        open_trained(options)


def test_exposures_come_with_a_model_that_learnt_some(tmp_path):
    run = write_blob_run(tmp_path)
    Exposures({"train/001.png": identity()}).save(run)
    options = ModelParams(source_path=str(tmp_path / "data"), model_path=str(run), eval=True, device="cpu")
    assert open_trained(options).exposures.by_name == {}
    assert set(open_trained(replace(options, exposure=True)).exposures.by_name) == {"train/001.png"}


@pytest.mark.parametrize(("trained", "asked"), [(True, True), (False, False), (True, False), (False, True)])
def test_rendering_otherwise_than_in_training_is_said(tmp_path, capsys, trained, asked):
    model = ModelParams(model_path=str(tmp_path), backend="reference")
    save_config(tmp_path, model, PipelineParams(antialiasing=trained))
    settings = render_settings(model, PipelineParams(antialiasing=asked))
    assert (settings.backend, settings.antialiasing) == ("reference", asked)
    err = capsys.readouterr().err
    assert ("rendered otherwise" in err) == (trained != asked)
    assert (trained == asked) or ("--antialiasing" if trained else "--no_antialiasing") + " restores that" in err
