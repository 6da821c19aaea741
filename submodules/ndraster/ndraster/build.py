"""Compile the C++ and CUDA backends once and cache them; the key is the sources, torch and the compiler."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

SOURCES = Path(__file__).parent / "csrc"
TORCH = Path(torch.__file__).parent
_loaded: set[str] = set()  # libraries register operators process-wide, once


class BuildError(RuntimeError):
    """A backend cannot be built here; the message says what is missing."""


def cache_folder() -> Path:
    """Where built libraries live: $NDRASTER_CACHE, else ndraster below the user's cache folder."""
    base = os.environ.get("NDRASTER_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ndraster"


def missing_for(name: str) -> list[str]:
    """What this machine lacks for a backend; empty when it can run. A cached library needs no tools."""
    no_device = name == "cuda" and not torch.cuda.is_available()
    missing = ["no CUDA device (or a torch without CUDA)"] if no_device else []
    if library_path(name).is_file():
        return missing
    if compiler() is None:
        missing.append("no C++ compiler (set CXX or install g++)")
    if not ninja():
        missing.append("no ninja (pip install ninja)")
    if name == "cuda" and nvcc() is None:
        missing.append("no nvcc (set CUDA_HOME or install the CUDA toolkit)")
    return missing


@cache
def compiler() -> str | None:
    """Path of the C++ compiler, or None."""
    return shutil.which(os.environ.get("CXX", "")) or shutil.which("g++") or shutil.which("clang++")


@cache
def nvcc() -> str | None:
    """Path of nvcc, or None."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    beside = Path(home) / "bin" / "nvcc"
    return str(beside) if beside.is_file() else shutil.which("nvcc")


@cache
def ninja() -> list[str]:
    """The command that starts ninja, or an empty list."""
    if importlib.util.find_spec("ninja"):
        return [sys.executable, "-m", "ninja"]
    return [path] if (path := shutil.which("ninja")) else []


def load_library(name: str) -> None:
    """Load a compiled backend's operators into torch, building the library when the cache has none."""
    if name in _loaded:
        return
    path = library_path(name)
    if not path.is_file():
        build(name)
    torch.ops.load_library(str(path))
    _loaded.add(name)


def build(name: str) -> Path:
    """Compile a backend into the cache (atomically, so that parallel builds do not disturb each other)."""
    missing = [text for text in missing_for(name) if "CUDA device" not in text]  # building needs no device
    if missing:
        raise BuildError(f"the {name} backend cannot be built: {'; '.join(missing)}")
    target = library_path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    print(f"ndraster: building the {name} backend once (about a minute) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        _run_ninja(name, Path(work))
        os.replace(Path(work) / target.name, target)
    return target


def library_path(name: str) -> Path:
    """Where the library of a backend is, or would be, cached."""
    return cache_folder() / f"ndraster_{name}_{_key(name)}.so"


@cache
def _key(name: str) -> str:
    """Changes with the sources, torch, Python's tag, the compiler, the architectures and the flags."""
    digest = hashlib.sha256()
    for source in sorted(SOURCES.rglob("*")):
        if source.is_file() and (name == "cuda" or source.parent.name != "cuda"):
            digest.update(source.name.encode() + source.read_bytes())
    tools = [torch.__version__, sys.implementation.cache_tag, compiler() or "", *_cxx_flags(name)]
    if name == "cuda":
        tools += [nvcc() or "", *_nvcc_flags(name)]
    digest.update("\n".join(tools).encode())
    return digest.hexdigest()[:16]


def _cuda_architectures() -> list[str]:
    """nvcc -gencode flags: those of TORCH_CUDA_ARCH_LIST, else the devices present."""
    listed = os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(";", " ").split()
    if not listed and torch.cuda.is_available():
        devices = range(torch.cuda.device_count())
        listed = sorted({"{}.{}".format(*torch.cuda.get_device_capability(i)) for i in devices})
    flags = []
    for arch in listed or ["8.0"]:
        number, with_ptx = arch.removesuffix("+PTX").replace(".", ""), arch.endswith("+PTX")
        codes = f"sm_{number},compute_{number}" if with_ptx else f"sm_{number}"
        flags.append(f"-gencode=arch=compute_{number},code=[{codes}]")
    return flags


def _include_flags(name: str) -> list[str]:
    """Flags that g++ and nvcc both take: where headers are, and torch's ABI."""
    headers = TORCH / "include"
    folders = [headers, headers / "torch" / "csrc" / "api" / "include"]
    if name == "cuda" and nvcc():
        folders.append(Path(nvcc()).parents[1] / "include")
    flags = [f"-D_GLIBCXX_USE_CXX11_ABI={int(torch._C._GLIBCXX_USE_CXX11_ABI)}", f"-I{shlex.quote(str(SOURCES))}"]
    return flags + [f"-isystem {shlex.quote(str(folder))}" for folder in folders]


def _cxx_flags(name: str) -> list[str]:
    flags = ["-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", *_include_flags(name)]
    if "clang" not in Path(compiler() or "").name:
        flags.append("-fopenmp")  # ATen's threads; libtorch brings the runtime, so none is linked
    return flags


def _nvcc_flags(name: str) -> list[str]:
    flags = ["-std=c++20", "-O3", "--use_fast_math", "--expt-relaxed-constexpr", "-Xcompiler -fPIC"]
    return flags + _cuda_architectures() + _include_flags(name)


def _run_ninja(name: str, work: Path) -> None:
    """Write a ninja file for the backend's sources and run it; the compiler's output is shown only on failure."""
    output = work / library_path(name).name
    (work / "build.ninja").write_text(_ninja_file(name, output))
    result = subprocess.run([*ninja(), "-C", str(work)], capture_output=True, text=True, check=False)
    if result.returncode:
        log = cache_folder() / f"build_{name}.log"
        log.write_text(result.stdout + result.stderr)
        first = next((line for line in result.stdout.splitlines() if "error" in line or "fatal" in line), "no message")
        raise BuildError(f"building the {name} backend failed: {first.strip()} (whole log in {log})")


def _ninja_file(name: str, output: Path) -> str:
    sources = [path for path in sorted((SOURCES / name).iterdir()) if path.suffix in (".cpp", ".cu")]
    objects = [f"{path.stem}_{path.suffix[1:]}.o" for path in sources]
    libraries = "-ltorch -ltorch_cpu -lc10" + (" -lc10_cuda -ltorch_cuda" if name == "cuda" else "")
    folder = shlex.quote(str(TORCH / "lib"))
    lines = [
        f"rule cpp\n  command = {compiler()} {' '.join(_cxx_flags(name))} -c $in -o $out",
        f"rule cu\n  command = {nvcc()} {' '.join(_nvcc_flags(name))} -c $in -o $out",
        f"rule link\n  command = {compiler()} -shared $in -o $out -L{folder} -Wl,-rpath,{folder} {libraries}",
    ]
    paths = [str(path).replace("$", "$$").replace(" ", "$ ").replace(":", "$:") for path in sources]
    lines += [f"build {obj}: {path.rsplit('.', 1)[1]} {path}" for obj, path in zip(objects, paths, strict=True)]
    lines += [f"build {output.name}: link {' '.join(objects)}", f"default {output.name}"]
    return "\n".join(lines) + "\n"
