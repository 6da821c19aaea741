"""Programs are started with lists of words that fit their version."""

from __future__ import annotations

import builtins

import pytest

from capture.colmap_tools import ColmapProgram, Workspace, choose_tool, describe_program
from tests.capture.fake_colmap import command_lines, write_program
from utils.errors import UserError


def workspace(tmp_path) -> Workspace:
    return Workspace(tmp_path / "database.db", tmp_path / "my photos", [["a b.jpg", "c.jpg"], ["d.jpg"]], "RADIAL", 900)


@pytest.mark.parametrize(
    ("version", "family"), [("3.9.1", "Sift"), ("3.12", "Sift"), ("3.13", "Feature"), ("4.0", "Feature")]
)
def test_option_names_follow_the_version(tmp_path, version, family):
    program = write_program(tmp_path / "bin dir/colmap", version)
    tool = ColmapProgram(str(program), use_gpu=True)
    tool.extract(workspace(tmp_path))
    tool.match(workspace(tmp_path), None)
    first, second, matching = command_lines(program)
    assert first[0] == second[0] == "feature_extractor" and matching[0] == "exhaustive_matcher"
    assert first[first.index(f"--{family}Extraction.use_gpu") + 1] == "1"
    assert matching[matching.index(f"--{family}Matching.use_gpu") + 1] == "1"
    assert str(tmp_path / "my photos") in first  # one word, blank and all
    assert first[first.index("--ImageReader.camera_model") + 1] == "RADIAL"
    assert (tmp_path / "photos.txt").read_text() == "d.jpg\n"


def test_the_gpu_is_used_only_if_wanted_and_built_in(tmp_path):
    for name, cuda, wanted, uses in (("a", True, False, "0"), ("b", False, True, "0"), ("c", True, True, "1")):
        program = write_program(tmp_path / name, "3.13", cuda)
        ColmapProgram(str(program), wanted).match(workspace(tmp_path), None)
        assert command_lines(program)[0][-1] == uses


def test_pairs_masks_and_the_later_steps(tmp_path):
    program = write_program(tmp_path / "colmap", "3.13")
    tool, work = ColmapProgram(str(program), True), workspace(tmp_path)
    tool.match(work, [("c.jpg", "d.jpg")])
    assert (tmp_path / "pairs.txt").read_text() == "c.jpg d.jpg\n"
    tool.map(work, tmp_path / "models")
    tool.undistort(tmp_path / "photos", tmp_path / "model", tmp_path / "out")
    tool.colour(tmp_path / "photos", tmp_path / "model")
    importer, mapper, undistorter, colours = command_lines(program)
    assert importer[0] == "matches_importer" and importer[-2:] == ["--match_type", "pairs"]
    assert mapper[mapper.index("--Mapper.ba_global_function_tolerance") + 1] == "0.000001"
    assert undistorter[-2:] == ["--output_type", "COLMAP"] and colours[0] == "color_extractor"
    with pytest.raises(UserError, match="a b.jpg: a blank"):
        tool.match(work, [("a b.jpg", "c.jpg")])


def test_failures_are_one_line_with_the_programs_last_words(tmp_path):
    program = write_program(tmp_path / "colmap", "3.13", failing="mapper")
    with pytest.raises(UserError, match=r"colmap mapper failed with code 7: first line \| it went wrong"):
        ColmapProgram(str(program), True).map(workspace(tmp_path), tmp_path / "models")
    with pytest.raises(UserError, match="absent cannot be started"):
        describe_program(str(tmp_path / "absent"))
    (tmp_path / "other").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "other").chmod(0o755)
    with pytest.raises(UserError, match="does not introduce itself as COLMAP"):
        describe_program(str(tmp_path / "other"))


@pytest.mark.parametrize(
    ("found", "wants_gpu", "has_package", "expected"),
    [
        ("3.13 cuda", True, True, "COLMAP 3.13, GPU"),
        ("3.13 cuda", False, True, "pycolmap"),
        ("3.13", True, True, "pycolmap"),
        ("3.13", True, False, "COLMAP 3.13, CPU"),
        ("", True, True, "pycolmap"),
        ("", True, False, "pip install pycolmap"),
    ],
)
def test_pycolmap_is_used_unless_a_program_brings_the_gpu(
    tmp_path, monkeypatch, found, wants_gpu, has_package, expected
):
    if has_package and expected == "pycolmap":
        pytest.importorskip("pycolmap")
    if found:
        write_program(tmp_path / "bin/colmap", found.split()[0], cuda="cuda" in found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if not has_package:
        hide_pycolmap(monkeypatch)
    if expected.startswith("pip"):
        with pytest.raises(UserError, match=expected):
            choose_tool("", wants_gpu)
        return
    assert choose_tool("", wants_gpu).name.startswith(expected)


def hide_pycolmap(monkeypatch):
    usual = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pycolmap":
            raise ImportError(name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)


def test_a_named_program_is_used_whatever_else_there_is(tmp_path):
    program = write_program(tmp_path / "colmap", "3.8", cuda=False)
    assert choose_tool(str(program), True).name == "COLMAP 3.8, CPU"
