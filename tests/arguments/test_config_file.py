import ast
import dataclasses
import json
import os
from pathlib import Path

import pytest

from arguments import (
    ModelParams,
    OptimizationParams,
    OptionError,
    PipelineParams,
    SegmentParams,
    SemanticParams,
    TrainParams,
    load_config,
    resolve_paths,
    save_config,
)
from arguments.config_file import LEGACY_FIELDS

GROUPS = (
    ModelParams(source_path="/a b/ü", sh_degree=1, white_background=True, resolution=4),
    PipelineParams(antialiasing=True),
    OptimizationParams(iterations=12, lambda_alpha=0.5, optimizer_type="sparse_adam"),
    SemanticParams(foundation_model="oracle", semantic_dimension=7),
    TrainParams(test_iterations=(-1,), save_iterations=()),
    SegmentParams(point=((1, 2), (3, 4)), threshold=0.25),
)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: type(group).__name__)
def test_round_trip(tmp_path, group):
    save_config(tmp_path / "new", *GROUPS)
    assert load_config(tmp_path / "new", type(group)) == group
    assert sorted(os.listdir(tmp_path / "new")) == ["cfg_args", "config.json"]


def test_cfg_args_is_the_line_that_viewers_expect(tmp_path):
    save_config(tmp_path, GROUPS[0])
    line = (tmp_path / "cfg_args").read_text()
    assert "\n" not in line and line.startswith("Namespace(sh_degree=1, source_path='/a b/ü', model_path='', images=")
    keywords = ast.parse(line, mode="eval").body.keywords
    assert [keyword.arg for keyword in keywords] == list(LEGACY_FIELDS)
    assert "white_background=True" in line and "data_device='cuda'" in line


def test_folder_with_cfg_args_only(tmp_path):
    save_config(tmp_path, GROUPS[0])
    (tmp_path / "config.json").unlink()
    assert load_config(tmp_path, ModelParams) == GROUPS[0]
    assert load_config(tmp_path, PipelineParams) == PipelineParams()


def test_what_belongs_to_the_machine_is_not_inherited(tmp_path):
    save_config(tmp_path, ModelParams(device="cuda:7", data_device="cuda:7", backend="cuda"), TrainParams(quiet=True))
    assert load_config(tmp_path, ModelParams) == ModelParams()
    assert load_config(tmp_path, TrainParams) == TrainParams()


def test_older_and_newer_files_fill_up_with_defaults(tmp_path):
    data = {"version": 1, "ModelParams": {"sh_degree": 2, "from_the_future": [1]}}
    (tmp_path / "config.json").write_text(json.dumps(data))
    assert load_config(tmp_path, ModelParams) == ModelParams(sh_degree=2)
    assert load_config(tmp_path, OptimizationParams) == OptimizationParams()


@pytest.mark.parametrize(
    "text",
    [
        "Namespace(source_path=__import__('os').mkdir('{mark}'))",
        "Namespace(source_path=open('{mark}', 'w'))",
        "__import__('os').mkdir('{mark}')",
        "Namespace(**dict(a=1))",
        "Namespace('a')",
        "Namespace(source_path='/a'",
        "Namespace(source_path='/a') or 1",
        "",
        "(" * 5000,
    ],
)
def test_nothing_in_cfg_args_is_executed(tmp_path, text):
    mark = tmp_path / "mark"
    (tmp_path / "cfg_args").write_text(text.replace("{mark}", str(mark)))
    with pytest.raises(OptionError, match="cfg_args is not one line Namespace") as error:
        load_config(tmp_path, ModelParams)
    assert "\n" not in str(error.value) and not mark.exists()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"ModelParams": 3}', '{"ModelParams": {"sh_degree": 3', "\xff"])
def test_damaged_config_is_one_line(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(OptionError, match="config.json") as error:
        load_config(tmp_path, ModelParams)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        (ModelParams, "sh_degree", 4),
        (ModelParams, "sh_degree", True),
        (ModelParams, "eval", 1),
        (ModelParams, "resolution", "2"),
        (ModelParams, "source_path", None),
        (OptimizationParams, "lambda_dssim", "0.2"),
        (TrainParams, "test_iterations", 7000),
        (TrainParams, "test_iterations", ["a"]),
        (SegmentParams, "point", [[1, 2, 3]]),
    ],
)
def test_values_of_the_wrong_type_are_named(tmp_path, group, name, value):
    (tmp_path / "config.json").write_text(json.dumps({group.__name__: {name: value}}))
    with pytest.raises(OptionError, match=f"{name} is .*; expected"):
        load_config(tmp_path, group)


def test_a_failed_save_keeps_the_old_file(tmp_path):
    save_config(tmp_path, GROUPS[1])
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(TypeError):
        save_config(tmp_path, dataclasses.replace(GROUPS[1], debug=object()))
    assert (tmp_path / "config.json").read_text() == before
    assert os.listdir(tmp_path) == ["config.json"]


def test_resolve_paths(monkeypatch):
    monkeypatch.delenv("OAR_JOB_ID", raising=False)
    first, second = (resolve_paths(ModelParams(source_path="x")) for _ in range(2))
    assert Path(first.source_path) == Path.cwd() / "x"
    assert first.model_path != second.model_path
    assert Path(first.model_path).parent == Path("output") and len(Path(first.model_path).name) == 10
    monkeypatch.setenv("OAR_JOB_ID", "job7")
    assert resolve_paths(ModelParams()).model_path == os.path.join("output", "job7")
    assert resolve_paths(ModelParams(model_path="here")).model_path == "here"


@pytest.mark.parametrize("protocol", [True, False])
def test_in_a_foreign_model_one_switch_is_exposure_and_protocol(tmp_path, protocol):
    (tmp_path / "cfg_args").write_text(f"Namespace(sh_degree=3, train_test_exp={protocol})")
    model = load_config(tmp_path, ModelParams)
    assert model.exposure == model.train_test_exp == protocol
