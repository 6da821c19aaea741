"""The build cache, what `doctor` says, and what happens when tools are missing."""

from __future__ import annotations

import warnings

import ndraster
import pytest
import torch
from ndraster import __main__ as program
from ndraster import backends
from ndraster import build as builder

from tests.ndraster.clouds import CPU, camera, cloud, moved


@pytest.fixture
def no_tools(monkeypatch, tmp_path):
    """A machine without compilers, GPU and cached libraries."""
    monkeypatch.setenv("NDRASTER_CACHE", str(tmp_path))
    monkeypatch.setattr(builder, "compiler", lambda: None)
    monkeypatch.setattr(builder, "nvcc", lambda: None)
    monkeypatch.setattr(builder, "_loaded", set())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    _forget()
    yield tmp_path
    monkeypatch.undo()
    _forget()


def _forget():
    builder._key.cache_clear()
    backends._cpu_or_reference.cache_clear()


@pytest.fixture
def sources(monkeypatch, tmp_path):
    """A copy of the source folder's shape with one file per room."""
    for room in ("cpu", "cuda", "shared"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "a.h").write_text("1")
    monkeypatch.setattr(builder, "SOURCES", tmp_path)
    return tmp_path


def key(name: str = "cpu") -> str:
    builder._key.cache_clear()
    try:
        return builder._key(name)
    finally:
        builder._key.cache_clear()


def test_key_follows_the_sources_of_its_backend(sources):
    before = key()
    assert key() == before
    (sources / "cuda" / "a.h").write_text("2")
    assert key() == before
    (sources / "shared" / "a.h").write_text("2")
    after_shared = key()
    assert after_shared != before
    (sources / "cpu" / "a.h").write_text("2")
    assert key() != after_shared


def test_key_follows_the_compiler_and_torch(sources, monkeypatch):
    before = key()
    monkeypatch.setattr(builder, "compiler", lambda: "/elsewhere/g++")
    other_compiler = key()
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert len({before, other_compiler, key()}) == 3


def test_cache_folder_can_be_set(monkeypatch, tmp_path):
    monkeypatch.setenv("NDRASTER_CACHE", str(tmp_path))
    assert builder.library_path("cpu").parent == tmp_path


def test_doctor_names_what_is_missing(no_tools, capsys):
    assert program.doctor() == 1
    text = capsys.readouterr().out
    assert "backend cpu" in text and "no C++ compiler" in text and "g++" in text
    assert "backend cuda" in text and "no CUDA device" in text
    assert "always there" in text and str(no_tools) in text


@CPU
def test_doctor_is_content_with_a_compiled_backend(capsys):
    assert program.doctor() == 0
    assert "backend reference" in capsys.readouterr().out


def test_unknown_backend_lists_the_known_ones():
    with pytest.raises(ndraster.BackendError, match="'metal'; expected auto, cuda, cpu, reference"):
        ndraster.rasterize(cloud(), camera(), backend="metal")


@CPU
def test_compiled_backends_take_float32_only():
    with pytest.raises(ndraster.BackendError, match="float64.*reference"):
        ndraster.rasterize(cloud(), camera(), backend="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_tensors_elsewhere_are_named():
    with pytest.raises(ndraster.BackendError, match="'cuda' but the Gaussians are on cpu"):
        ndraster.rasterize(moved(cloud(), torch.float32), camera(), backend="cuda")


def test_without_a_compiler_the_reference_serves_with_one_warning(no_tools):
    assert ndraster.available_backends() == ("reference",)
    given = moved(cloud(5), torch.float32)
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler.*slower"):
        output = ndraster.rasterize(given, camera(8, 8))
    output.color.sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ndraster.rasterize(given, camera(8, 8))


def test_asking_for_cpu_without_a_compiler_says_why(no_tools):
    with pytest.raises(ndraster.BackendError, match="no C\\+\\+ compiler.*doctor"):
        ndraster.rasterize(moved(cloud(5), torch.float32), camera(8, 8), backend="cpu")


def test_failed_build_leaves_its_log_and_no_library(monkeypatch, tmp_path):
    if builder.compiler() is None:
        pytest.skip("no C++ compiler")
    (tmp_path / "csrc" / "cpu").mkdir(parents=True)
    (tmp_path / "csrc" / "cpu" / "broken.cpp").write_text("#error this does not compile\n")
    monkeypatch.setattr(builder, "SOURCES", tmp_path / "csrc")
    monkeypatch.setenv("NDRASTER_CACHE", str(tmp_path / "cache"))
    builder._key.cache_clear()
    try:
        with pytest.raises(builder.BuildError, match="build_cpu.log"):
            builder.build("cpu")
        assert not list((tmp_path / "cache").glob("*.so"))
        assert "does not compile" in (tmp_path / "cache" / "build_cpu.log").read_text()
    finally:
        builder._key.cache_clear()
