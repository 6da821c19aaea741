"""The command lines of Feature 3DGS and Label-3DGS, as their documentation has them, on a small procedural scene.

What differs from the documentation: networks without knowledge instead of downloads, and few iterations.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.make_scene import SceneOptions, make
from tests.helpers import ROOT, run_script
from utils.files import read_json
from utils.image_io import read_image

pytest.importorskip("open_clip")
pytestmark = pytest.mark.slow

LSEG, SAM = "encoders/lseg_encoder", "encoders/sam_encoder"
NETWORK = "--backbone small --random_init --mode fast --widehead --no-scaleinv"  # its own mode takes minutes here
FEW = "--eval --iterations 30 --test_iterations -1 --init_count 300 --test_offset 2"

FEATURES = [
    (LSEG, f"encode_images.py {NETWORK} --outdir D/rgb_feature_langseg --test-rgb-dir D/images --workers 0"),
    (".", f"train.py -s D -m O -f lseg -r 0 --speedup {FEW}"),
    (".", "render.py -s D -m O --iteration 30"),
    (".", "render.py -s D -m O -f lseg --iteration 30 --novel_view --num_views 3"),
    (".", "render.py -s D -m O -f lseg --iteration 30 --novel_view --multi_interpolate"),
    (
        ".",
        "render.py -s D -m O -f lseg --iteration 30 --edit_config configs/edit/extraction.yaml --text_weights random",
    ),
    (".", "videos.py --data O --fps 10 -f lseg --iteration 30"),
    (LSEG, "segmentation.py --data O --iteration 30 --weights random"),
    (LSEG, "segmentation.py --data O --iteration 30 --label_src car,building,tree --weights random"),
    (
        LSEG,
        "segmentation_metric.py --backbone clip_vitl16_384 --weights random --widehead --no-scaleinv "
        "--student-feature-dir O/test/ours_30/saved_feature/ --teacher-feature-dir D/rgb_feature_langseg/ "
        "--test-rgb-dir O/test/ours_30/renders/ --workers 0 --eval-mode test --ground-truth D/labels "
        "--label_src background,ground,ball,egg",
    ),
]
EMBEDDINGS = [
    (SAM, "export_image_embeddings.py --checkpoint random --input D/images --output D/sam_embeddings"),
    (".", f"train.py -s D -m O -f sam --speedup {FEW}"),
    (".", "render.py -s D -m O -f sam --iteration 30 --novel_view --num_views 2"),
    (SAM, "segment_prompt.py --checkpoint random --model-type vit_h --data O --iteration 30 --point 30 20"),
    (SAM, "segment_prompt.py --checkpoint random --model-type vit_h --data O --iteration 30 --box 10 10 50 40"),
    (SAM, "segment_prompt.py --checkpoint random --data O --iteration 30 --box 10 10 50 40 --point 30 20"),
    (SAM, "segment.py --checkpoint random --model-type vit_h --data O --iteration 30 --points_per_side 2"),
    (
        SAM,
        "segment_time.py --checkpoint random --model-type vit_h --image_path O/novel_views/ours_30/renders/ "
        "--feature_path O/novel_views/ours_30/saved_feature --output O --points_per_side 2",
    ),
    (".", "videos.py --data O -f sam --iteration 30"),
]
LABELS = [
    (".", f"train.py -s D -m O -f lseg --speedup {FEW}"),
    (".", "render.py -s D -m O --iteration 30"),
    (
        LSEG,
        "segmentation_metric_2.py --teacher-label-dir D/rgb_feature_langseg/ "
        "--student-label-dir O/test/ours_30/saved_labels/ --eval-mode test",
    ),
]


MOVING = "--iterations 30 --test_iterations -1 --init_count 300 --eval"
CLICKS = '--points "(20,15)" "(10,20)" --thetas "0.55" "0.7"'
DGD_CLICKS = [
    (".", f'train.py -s D -m O --fundation_model "DINOv2" --semantic_dimension 384 {MOVING} --teacher_weights random'),
    (
        ".",
        'render.py -s D -m O --fundation_model "DINOv2" --semantic_dimension 384 --iterations 30 --frame 2 '
        f"--novel_views -1 {CLICKS}",
    ),
]
DGD_WORDS = [
    (
        ".",
        'train.py -s D -m O --Lseg_model_path random --fundation_model "Lseg_CLIP" --semantic_dimension 512 '
        f"--loss_reduce 10 {MOVING}",
    ),
    (
        ".",
        'render.py -s D -m O --Lseg_model_path random --fundation_model "Lseg_CLIP" --semantic_dimension 512 '
        '--iterations 30 --frame 2 --novel_views 1 --prompt "a red ball" --thetas "0.01"',
    ),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Twelve pictures of 64x48 in COLMAP layout, with labels."""
    folder = tmp_path_factory.mktemp("data") / "scene"
    make(SceneOptions("static", folder, (64, 48), views=12, samples=1))
    return folder


def run_all(commands: list[tuple[str, str]], data: Path, out: Path) -> None:
    for folder, command in commands:
        words = [_placed(word, data, out) for word in shlex.split(command)]
        if "--edit_config" in words:
            words += ["--text_weights", "random"]
        result = run_script("-u", *words, cwd=ROOT / folder, timeout_sec=300)
        assert result.returncode == 0, f"{command}\n{result.stdout[-1000:]}\n{result.stderr[-2000:]}"


def _placed(word: str, data: Path, out: Path) -> str:
    """D... and O... are paths in the data set and the model folder."""
    root = {"D": data, "O": out}.get(word.split("/")[0])
    return word if root is None else str(root) + word[1:]


def test_lseg(data: Path, tmp_path: Path) -> None:
    run_all(FEATURES, data, tmp_path)
    assert len(list(tmp_path.glob("test/ours_30/saved_feature/*_fmap_CxHxW.pt"))) == 2
    assert len(list(tmp_path.glob("novel_views/ours_30/renders/*.png"))) == 2
    assert len(list(tmp_path.glob("seg_30_labels/test/*_legend.png"))) == 2
    assert len(list(tmp_path.glob("seg_30/novel_views/*_vis.png"))) == 2
    assert list(tmp_path.glob("videos_30/*.mp4")) and list(tmp_path.glob("test/ours_30_extraction_*/renders/*.png"))
    scores = read_json(tmp_path / "test/ours_30/segmentation_metric.json")
    assert 0 <= scores["agreement with the teacher"]["accuracy"] <= 1
    assert scores["student against the truth"]["images"] == 2


def test_sam(data: Path, tmp_path: Path) -> None:
    run_all(EMBEDDINGS, data, tmp_path)
    for kind in ("point", "box", "box_point"):
        assert len(list(tmp_path.glob(f"seg_{kind}_30/novel_views/*.png"))) >= 2
    assert list(tmp_path.glob("videos_30/*.mp4"))


def test_label3dgs(data: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scene"
    shutil.copytree(data, scene, ignore=shutil.ignore_patterns("rgb_feature_langseg"))
    (scene / "rgb_feature_langseg").mkdir()
    for path in (scene / "labels").glob("*.png"):
        ids = torch.from_numpy(read_image(path)[..., 0].astype(np.int64))
        torch.save(ids, scene / f"rgb_feature_langseg/{path.stem}_label_CxHxW.pt")
    run_all(LABELS, scene, tmp_path)
    scores = read_json(tmp_path / "test/ours_30/segmentation_metric.json")
    assert 0 < scores["agreement with the teacher"]["accuracy"] <= 1


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> Path:
    """Two pictures of 64x48 of a moving scene in D-NeRF's layout, and a test picture."""
    folder = tmp_path_factory.mktemp("moving") / "scene"
    make(SceneOptions("dynamic", folder, (64, 48), views=2, samples=1))
    return folder


@pytest.mark.parametrize("commands", [DGD_CLICKS, DGD_WORDS], ids=["clicks", "words"])
def test_dgd(moving: Path, tmp_path: Path, commands: list[tuple[str, str]]) -> None:
    run_all(commands, moving, tmp_path)
    assert (tmp_path / "deform/iteration_30/motion.json").is_file()
    folder = tmp_path / "train/ours_30"
    assert len(list((folder / "renders").glob("*.png"))) == len(list((folder / "renders_PCA").glob("*.png"))) == 2
    assert (folder / "renders/video.mp4").is_file() or (folder / "video.mp4").is_file()
