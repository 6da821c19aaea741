"""Options of the scripts that use a trained model. Each field is a flag of the same name; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import UseAppendAction, arg

Points = UseAppendAction[tuple[tuple[int, int], ...]]
Boxes = UseAppendAction[tuple[tuple[int, int, int, int], ...]]
Against = UseAppendAction[tuple[tuple[int, int] | str, ...]]


@dataclass(frozen=True)
class RenderParams:
    """What is rendered and written."""

    iteration: Annotated[int, arg(aliases=["--iterations"])] = -1
    """Saved step to load; -1 = the newest."""
    layers: tuple[str, ...] = ()
    """Numbers (0 = the oldest) or names of the layers that are rendered, e.g. 0,2; left out = all."""
    mode: Literal["render", "time", "view", "all", "pose", "original"] = "render"
    """render = the photographed views; else what Deformable 3DGS calls so, for each split: see docs/render.md."""
    measure_fps: bool = False
    """Also time the rendering of the photographed views, motion included, and print frames per second."""
    skip_train: bool = False
    """Leave the training views out."""
    skip_test: bool = False
    """Leave the test views out."""
    novel_view: bool = False
    """Also render views along new camera paths."""
    path: Literal["both", "slerp", "lerp", "orbit", "circle", "spiral", "file"] = "both"
    """Path of --novel_view: slerp through the training cameras, lerp from first to last; both = slerp and orbit."""
    camera_path: str = ""
    """With --path file: JSON file of cameras, as cameras.json, nerfstudio's camera path or transforms.json."""
    save_path: str = ""
    """Also write the cameras of new paths: *.nerfstudio.json, transforms*.json, *.gltf, or *.json like cameras.json."""
    num_views: int | None = None
    """Number of views on each new path; left out = 200, with --mode its own number (60 to 1000)."""
    time: float | None = None
    """Moment in 0..1 of all views on new paths; left out = time runs where the photographs show several moments."""
    ply_sequence: tuple[int, ...] | None = None
    """Write the Gaussians at so many moments as PLY files; without a number 30."""
    multi_interpolate: bool = False
    """Novel views between every two neighbouring training cameras instead."""
    video: bool = False
    """Write an mp4 of each new path, and video/ with LLFF's spiral of 120 views; includes --novel_view."""
    novel_video: bool = False
    """Write an mp4 of the way from the first to the last training camera."""
    fps: int | None = None
    """Frames per second of videos; left out = 30, of objects that are followed 60."""
    depth: bool = True
    """Write depth pictures."""
    save_features: bool = True
    """Write feature maps as tensors (saved_feature/, saved_labels/), besides their pictures."""
    edit_config: str = ""
    """YAML file that says which objects are extracted, deleted or coloured; see configs/edit/."""
    text_weights: Annotated[str, arg(aliases=["--Lseg_model_path"])] = ""
    """Weight file of the text encoder that --edit_config and --prompt need; empty = where weights usually are."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class FollowParams:
    """Objects that are chosen once and followed through time, as in DGD."""

    points: tuple[str, ...] = ()
    """Pixels "(X,Y)" (column, row) in the view of --ref_frame, one on each object."""
    prompt: tuple[str, ...] = ()
    """Words, one or a "quoted phrase" for each object."""
    thetas: tuple[float, ...] = ()
    """Cosine from which a Gaussian is chosen, for each object or one for all; left out = automatic."""
    ref_frame: int = 0
    """Number of the training view that --points are in, in the order of the data set."""
    frame: int | None = None
    """Number of frames; left out = as many as there are training views."""
    novel_views: int = -1
    """-1 = the training views; K = time runs in front of the training view K."""
    op: Literal["recolor", "extract", "remove", "highlight"] = "recolor"
    """What happens to the chosen Gaussians."""
    compat_click: bool = False
    """Let a point be the upper left corner of the 5x5 px that are asked for, as in DGD, instead of their middle."""

    @property
    def is_asked(self) -> bool:
        """Whether any of this is wanted."""
        return bool(self.points or self.prompt) or self.frame is not None or self.novel_views != -1


@dataclass(frozen=True)
class VideoParams:
    """Which rendered pictures become videos."""

    data: Annotated[str, arg(aliases=["-m", "--model_path"])]
    """Model folder with the pictures that render.py and the segmentation scripts wrote."""
    iteration: int = -1
    """Saved step whose pictures are taken; -1 = the newest that has some."""
    fps: int = 10
    """Frames per second."""
    foundation_model: Annotated[str, arg(aliases=["-f"])] = ""
    """sam: a video of each split of a segmentation; else of its novel views only. Empty = the model's teacher."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class SegmentParams:
    """What is selected, how, and what happens to it."""

    point: Points = ()
    """Pixel X Y (column, row) on the object, in the view of --view."""
    box: Boxes = ()
    """Box X1 Y1 X2 Y2 in pixels around the object, in the view of --view."""
    clicks: str = ""
    """JSON file of points in views from anywhere, as view.py saves it, instead of --point."""
    negative: Against = ()
    """Pixel X Y on something that is not the object; with --text, a word for it."""
    text: UseAppendAction[tuple[str, ...]] = ()
    """Words for the object; given several times, each becomes a label of its own."""
    label_src: tuple[str, ...] | None = None
    """Label map of every view: words with commas between, or a file of them; without a value ADE20K's 150."""
    everything: bool = False
    """Find all objects: regions of similar features that hang together."""
    sam: bool = False
    """Let SAM's mask decoder answer --point or --box, from the rendered features of a model of -f sam."""
    view: Annotated[int, arg(aliases=["--ref_frame"])] = 0
    """View in which points and boxes are given: number of the training view, sorted by name."""
    view_name: str = ""
    """Image name of that view, instead of --view."""
    threshold: float | None = None
    """Cosine (relevance of words, share of masks) from which a Gaussian is selected; left out = automatic."""
    connected: bool = True
    """Keep only what hangs together with the clicked places."""
    templates: Literal["none", "simple"] = "none"
    """Sentences around each word, averaged; none suits LSeg, simple suits CLIP."""
    canonical_negatives: bool = True
    """Compare words with object, things, stuff and texture, where the teacher knows language."""
    action: Literal["mask", "extract", "remove", "recolor", "highlight"] = "mask"
    """Besides the masks, write the scene with only, without, with recoloured or with highlighted object."""
    color: tuple[float, float, float] = (1.0, 0.25, 0.1)
    """RGB in 0..1 for --action recolor."""
    text_weights: str = ""
    """Weight file of the text encoder; empty = where weights usually are."""
    sam_weights: str = ""
    """Weight file sam_vit_*.pth for --sam; empty = where weights usually are."""
    name: str = "object"
    """Name of the selection; results go to segment/NAME in the model folder."""
    fixed_view: int = -1
    """Moving scenes: training view, counted as by --view, of the video from one place; -1 = that of --view."""
    max_tracks: int = 2000
    """Moving scenes: Gaussians at most in tracks.npz, drawn at random by how much is seen of them."""
    num_plys: int = 60
    """Moving scenes: moments at most at which the selection is written to ply/."""
    iteration: int = -1
    """Saved step to load; -1 = the newest."""
    layers: tuple[str, ...] = ()
    """Numbers (0 = the oldest) or names of the layers that are used, e.g. 0,2; left out = all."""
    skip_video: bool = False
    """Do not write videos."""
    fps: int = 30
    """Frames per second of the video."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class MetricsParams:
    """Which renders are measured, against what."""

    model_paths: Annotated[tuple[str, ...], arg(aliases=["-m", "--model_path"])]
    """Model folders whose test renders are measured."""
    stdev: bool = False
    """Also write the standard deviation of each score over the views (SSIM_STDEV and so on)."""
    lpips_weights: tuple[str, ...] = ()
    """Weight files for LPIPS: VGG16 of torchvision, and LPIPS's linear layers; left out = torchvision's cache."""
    lpips_range: Literal["graphdeco", "pm1"] = "graphdeco"
    """Values that LPIPS sees: 0..1 as graphdeco measures, or stretched to -1..1 (pm1) as LPIPS is meant."""
    labels: str = ""
    """True masks or label maps, to measure the masks of segment.py as well: their folder, or the data set's."""
    object: str = ""
    """Name or id of the object in --labels; empty = the one that was clicked."""
    selection: str = ""
    """Name of the selection whose masks are measured; empty = all."""
    tracks: str = ""
    """File tracks_gt.npz of true paths, to measure those of segment.py in a moving scene."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
