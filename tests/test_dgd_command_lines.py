"""The command lines of DGD's documentation for render.py, on a model folder as DGD leaves it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import ndraster
import numpy as np
import pytest
import torch

import render as script
from arguments import merge_saved
from arguments.render_checks import check_render_options
from scene.formats.ply import write_ply
from scene.motion.deformation_network import DeformationNetwork
from tests.moving_blobs import moving_blobs, write_moving_run
from utils.files import save_torch

CLICKS = (
    'render.py -s path/to/your/dataset -m output/exp-name --fundation_model "DINOv2" --semantic_dimension 384 '
    '--iterations 40_000 --frame k --novel_views i --points "(x1,y1)" "(x2,y2)" --thetas "ϴ1" "ϴ2"'
)
WORDS = (
    "render.py -s path/to/your/dataset -m output/exp-name --Lseg_model_path path/to/your/Lseg-model "
    '--fundation_model "Lseg_CLIP" --semantic_dimension 512 --iterations 40_000 --frame k --novel_views i '
    '--prompt "text" --thetas "ϴ"'
)
FURTHER = ["--is_blender", "--is_6dof", "-w"]
"""What DGD's users must add."""


def filled(line: str, **values: str) -> list[str]:
    """The words of a documented line with its placeholders replaced."""
    return [values.get(word, values.get(word.strip("()"), word)) for word in shlex.split(line)[1:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Data set and model folder of DGD: cfg_args, columns sem_*, deform.pth; nothing else."""
    root = tmp_path_factory.mktemp("dgd")
    run = write_moving_run(root)
    shutil.rmtree(run)
    run.mkdir()
    (run / "cfg_args").write_text(f"Namespace(eval=True, images='images', model_path='x', source_path='{root}/data')")
    write_ply(run / "point_cloud/iteration_40000/point_cloud.ply", moving_blobs().to_arrays(), "sem_")
    return root


def parsed(folder: Path, line: str, *more: str, **values: str):
    """The groups of options, by class name, that a command line gives."""
    places = {"path/to/your/dataset": str(folder / "data"), "output/exp-name": str(folder / "run")}
    groups = merge_saved("Render.", *script.GROUPS, args=[*filled(line, **places, **values), *more])
    check_render_options(*groups[-2:])
    return dict(zip([group.__name__ for group in script.GROUPS], groups, strict=True))


@pytest.mark.parametrize("more", [[], FURTHER])
def test_the_documented_line_with_clicks(folder, more):
    values = {"k": "539", "i": "-1", "x1,y1": "(270,370)", "x2,y2": "(200,450)", "ϴ1": "0.55", "ϴ2": "0.7"}
    groups = parsed(folder, CLICKS, *more, **values)
    follow = groups["FollowParams"]
    assert (follow.points, follow.thetas) == (("(270,370)", "(200,450)"), (0.55, 0.7))
    assert (follow.frame, follow.novel_views) == (539, -1)
    assert groups["RenderParams"].iteration == 40_000
    semantic = groups["SemanticParams"]
    assert (semantic.foundation_model, semantic.semantic_dimension) == ("DINOv2", 384)


def test_the_documented_line_with_a_word(folder):
    groups = parsed(folder, WORDS, **{"k": "539", "i": "100", "text": "Cookie", "ϴ": "0.55"})
    follow = groups["FollowParams"]
    assert (follow.prompt, follow.thetas, follow.novel_views) == (("Cookie",), (0.55,), 100)
    assert groups["RenderParams"].text_weights == "path/to/your/Lseg-model"


def test_a_folder_of_dgd_is_rendered(folder, capsys):
    pytest.importorskip("av")
    torch.manual_seed(0)
    run = folder / "run"
    save_torch(run / "deform/iteration_40000/deform.pth", DeformationNetwork(is_blender=True).state_dict())
    backend = "cpu" if "cpu" in ndraster.available_backends() else "reference"
    places = {"path/to/your/dataset": str(folder / "data"), "output/exp-name": str(run)}
    values = {"k": "2", "i": "0", "x1,y1": "(14,22)", "x2,y2": "(34,22)", "ϴ1": "0.55", "ϴ2": "0.7"}
    words = filled(CLICKS, **places, **values)
    script.main([*words, "--is_blender", "--device", "cpu", "--backend", backend])
    assert sorted(path.name for path in (run / "train/ours_40000").iterdir()) == [
        "manifest.json",
        "mask",
        "renders",
        "renders_PCA",
        "selection.npz",
    ]
    assert "120 Gaussians" in capsys.readouterr().out
    assert np.load(run / "train/ours_40000/selection.npz")["scores"].shape == (120, 2)
