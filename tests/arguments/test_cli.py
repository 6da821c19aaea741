import dataclasses
from dataclasses import dataclass

import pytest

from arguments import (
    MetricsParams,
    ModelParams,
    OptimizationParams,
    OptionError,
    PipelineParams,
    RenderParams,
    SegmentParams,
    SemanticParams,
    flag_names,
    merge_saved,
    parse,
    save_config,
)
from arguments.flag_table import SCRIPT_GROUPS
from tests.helpers import ROOT, data_path, run_script

TRAIN = SCRIPT_GROUPS["train.py"]


def train(*words: str) -> dict[str, object]:
    """All train options by name."""
    parsed = parse("Train.", *TRAIN, args=words, prog="train.py")
    return {name: value for group in parsed for name, value in vars(group).items()}


def changed(*words: str) -> dict[str, object]:
    """The train options that differ from the defaults."""
    defaults = train()
    return {name: value for name, value in train(*words).items() if value != defaults[name]}


def example_words(hint: object) -> tuple[list[str], object]:
    """Words for a value that is not the default of any flag, and that value."""
    examples = {"int": (["17"], 17), "float": (["0.125"], 0.125), "str": (["some/dir"], "some/dir"), "bool": ([], True)}
    examples |= {"tuple[int, ...]": (["5", "6"], (5, 6)), "float | None": (["0.125"], 0.125)}
    return examples[str(hint)]


def test_the_graphdeco_command_lines_still_work():
    words = "-s data/x -m out -i images_4 -d depths -r 4 -w --eval --iterations 7000 --antialiasing --port 6010 --quiet"
    assert changed(*words.split(), "--test_iterations", "-1", "--save_iterations", "100", "200") == {
        "source_path": "data/x",
        "model_path": "out",
        "images": "images_4",
        "depths": "depths",
        "resolution": 4,
        "white_background": True,
        "eval": True,
        "iterations": 7000,
        "antialiasing": True,
        "port": 6010,
        "quiet": True,
        "test_iterations": (-1,),
        "save_iterations": (100, 200),
    }


@pytest.mark.parametrize("hyphens", [False, True])
@pytest.mark.parametrize("spelling", [0, 1, 2])
def test_every_spelling_of_every_train_flag_sets_its_field(spelling, hyphens):
    words, expected = [], {}
    for group in TRAIN:
        for field in dataclasses.fields(group):
            spellings = flag_names(group)[field.name]
            if "Literal" not in str(field.type) and len(spellings) > spelling:
                flag = spellings[spelling]
                values, value = example_words(str(field.type).removeprefix("Annotated[").split(", arg(")[0])
                words += [flag.replace("_", "-") if hyphens and flag.startswith("--") else flag, *values]
                expected[field.name] = False if flag.startswith("--no_") else value
    parsed = train(*words)
    assert len(expected) >= (60, 20, 3)[spelling]
    assert {name: parsed[name] for name in expected} == expected


def test_defaults_are_graphdecos():
    model, _, optimization, _, _, run, _ = parse("Train.", *TRAIN, args=[])
    assert (model.sh_degree, model.resolution, model.images, model.eval) == (3, -1, "images", False)
    assert (optimization.iterations, optimization.opacity_lr, optimization.lambda_dssim) == (30_000, 0.025, 0.2)
    assert (optimization.position_lr_init, optimization.position_lr_final) == (1.6e-4, 1.6e-6)
    assert optimization.densify_grad_threshold == 2e-4 and optimization.percent_dense == 0.01
    assert run.test_iterations == run.save_iterations == (7000, 30_000) and run.port == 6009


def test_aliases_and_misspellings_of_the_forks():
    for flag in ("-f", "--foundation_model", "--fundation_model"):
        assert changed(flag, "lseg") == {"foundation_model": "lseg"}
    for flag in ("--semantic_dimension", "--sementic_dimension", "--feature_dim"):
        assert changed(flag, "384") == {"semantic_dimension": 384}


def test_the_command_lines_of_multi_layer_3dgs():
    words = "--save_layer --load_layer run/layer_save_30000.pth -a --random_background --densify_grad_threshold 0.0001"
    words += " --inactive_purge_threshold -1 --inactive_purge_decay 0.9 --flatten_alpha"
    assert changed(*words.split()) == {
        "save_layer": True,
        "load_layer": "run/layer_save_30000.pth",
        "alpha_train": True,
        "random_background": True,
        "densify_grad_threshold": 0.0001,
        "inactive_purge_threshold": -1.0,
        "inactive_purge_decay": 0.9,
        "flatten_alpha": True,
    }


def test_switches_equals_signs_negative_numbers_and_empty_lists():
    assert changed("--resolution=2", "-w", "--no_white_background", "--no-eval") == {"resolution": 2}
    assert changed("-r", "-2", "--lambda_alpha", "-1e-3") == {"resolution": -2, "lambda_alpha": -1e-3}
    assert changed("--test_iterations") == {"test_iterations": ()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--iteration 5", "unknown option --iteration; did you mean --iterations?"),
        ("--Iterations 5", "did you mean --iterations?"),
        ("--densify-grad-treshold 1", "did you mean --densify_grad_threshold?"),
        ("--convert_cov2D_python", "did you mean --convert_cov3D_python?"),
        ("--opacity_lr=1 --scalinglr=2", "unknown option --scalinglr; did you mean --scaling_lr?"),
        ("-iterations 5", "one dash; expected two dashes before a long name; write --iterations"),
        ("-resolutoin 5", "did you mean --resolution?"),
        ("-r8", "write -r 8"),
        ("-q", "unknown option -q"),
        ("--nonsense", "did you mean --seed?"),
        ("--no_evil", "did you mean --no_eval?"),
        ("--sh_degree 5", "invalid choice '5' for argument '--sh_degree'"),
        ("--optimizer_type adam", "'sparse_adam'"),
        ("-r big", "'big'"),
        ("--eval True", "unexpected word 'True'"),
        ("stray", "unexpected word 'stray'"),
        ("-s", "Missing value for argument '-s/--source_path'"),
        ("-inactive_purge_threshold 0.015", "one dash; expected two dashes before a long name; write --inactive_purge"),
        ("-f", "-f has no value; expected a teacher"),
        ("-f -a", "to make transparent images opaque (-f of Multi-Layer 3DGS) write --flatten_alpha"),
    ],
)
def test_mistakes_are_one_helpful_line(words, message, capsys):
    with pytest.raises(OptionError) as error:
        train(*words.split())
    assert message in str(error.value) and "\n" not in str(error.value) and "│" not in str(error.value)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_the_line_does_not_depend_on_the_terminal(encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    code = (
        "import arguments as a\ntry: a.parse('x', a.ModelParams)\nexcept ValueError as e: import sys; sys.exit(str(e))"
    )
    result = run_script("-c", code, "--sh_degree", "9", cwd=ROOT)
    start = "invalid choice '9' for argument '--sh_degree'. Expected one of ('0', '1', '2', '3'); see"
    assert result.stderr.startswith(start) and result.stderr.count("\n") == 1


def test_help_shows_every_flag_with_its_text(capsys):
    with pytest.raises(SystemExit) as leave:
        train("--help")
    text = capsys.readouterr().out
    assert leave.value.code == 0 and "Train." in text and "model options" in text
    for spellings in flag_names(*TRAIN).values():
        assert all(flag in text for flag in spellings)
    assert "Folder of the data set." in text


def test_clicks_are_repeatable_pairs():
    words = ["--point", "10", "20", "--negative", "1", "2", "--point", "30", "40", "--threshold", "0.5"]
    (options,) = parse("Segment.", SegmentParams, args=words)
    assert options.point == ((10, 20), (30, 40)) and options.negative == ((1, 2),) and options.threshold == 0.5
    assert parse("Segment.", SegmentParams, args=[])[0].threshold is None
    with pytest.raises(OptionError, match="--point"):
        parse("Segment.", SegmentParams, args=["--point", "10"])


def test_required_fields_and_lists_of_folders(monkeypatch):
    monkeypatch.setattr("sys.argv", ["metrics.py"])
    assert parse("Score.", MetricsParams, args=["-m", "a", "b"])[0].model_paths == ("a", "b")
    with pytest.raises(OptionError, match="missing -m or --model_path or --model_paths"):
        parse("Score.", MetricsParams, args=[])


def test_any_dataclass_is_a_group():
    @dataclass(frozen=True)
    class Options:
        """Of a small script."""

        size: tuple[int, int] = (160, 120)
        """Width and height."""

    assert parse("Small.", Options, args=["--size", "3", "4"]) == (Options((3, 4)),)


def test_saved_options_are_defaults_and_the_command_line_wins(tmp_path):
    saved = ModelParams(source_path="/data", model_path="elsewhere", resolution=4, eval=True, device="cuda:3")
    save_config(tmp_path, saved, PipelineParams(antialiasing=True), OptimizationParams(iterations=9))
    words = ["-m", str(tmp_path), "-r", "8", "--no_eval"]
    model, pipeline, semantic, render = merge_saved(
        "Render.", ModelParams, PipelineParams, SemanticParams, RenderParams, args=words
    )
    assert (model.source_path, model.resolution, model.eval) == ("/data", 8, False)
    assert model.model_path == str(tmp_path) and model.device == "auto"
    assert pipeline.antialiasing and semantic == SemanticParams() and render == RenderParams()


def test_saved_options_need_a_model_folder(tmp_path):
    with pytest.raises(OptionError, match="add -m FOLDER"):
        merge_saved("Render.", ModelParams, RenderParams, args=[])
    with pytest.raises(OptionError, match="no config.json and no cfg_args"):
        merge_saved("Render.", ModelParams, RenderParams, args=["-m", str(tmp_path)])
    with pytest.raises(OptionError, match="no folder"):
        merge_saved("Render.", ModelParams, RenderParams, args=["-m", str(tmp_path / "none")])


def test_a_real_graphdeco_folder_is_read():
    folder = data_path("graphdeco_output_sample")
    model, _ = merge_saved("Render.", ModelParams, RenderParams, args=["-m", str(folder), "--resolution", "2"])
    assert model.source_path.startswith("D:\\noname") and model.resolution == 2 and model.model_path == str(folder)
