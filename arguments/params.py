"""Options that describe a scene and its training. Names and defaults of the graphdeco line are kept.

Each field is a flag of the same name; the text below a field is its help. Lists are tuples, so that groups are frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg


@dataclass(frozen=True)
class ModelParams:
    """The data set and the model folder."""

    sh_degree: Literal[0, 1, 2, 3] = 3
    """Highest degree of the spherical harmonics that make colours depend on the view."""
    source_path: Annotated[str, arg(aliases=["-s"])] = ""
    """Folder of the data set."""
    model_path: Annotated[str, arg(aliases=["-m"])] = ""
    """Folder of the trained model; when training without it, a new folder under output/."""
    images: Annotated[str, arg(aliases=["-i"])] = "images"
    """Sub-folder of the images (COLMAP data sets)."""
    depths: Annotated[str, arg(aliases=["-d"])] = ""
    """Sub-folder of inverse-depth maps (16-bit PNG) that the rendered depth is held to; empty = none."""
    resolution: Annotated[int, arg(aliases=["-r"])] = -1
    """1, 2, 4, 8: divisor; -1: at most 1600 px wide; 0: as the teacher's maps; -2: 480x320; else the width in px."""
    white_background: Annotated[bool, arg(aliases=["-w"])] = False
    """White background instead of black, also behind transparent images."""
    train_test_exp: bool = False
    """Test views also train, with their left half, and are measured on their right half; implies --exposure."""
    exposure: bool = False
    """Learn an exposure for each training image, a 3x4 colour matrix that training and render.py apply to its view."""
    mask_mode: Literal["ignore", "matte"] = "ignore"
    """masks/<name>.png: ignore = pixels of value 0 do not count; matte = opacity of the image, as of an RGBA one."""
    data_device: str = "auto"
    """Where the images are kept: auto, cpu, cuda, cuda:1 ..."""
    eval: bool = False
    """Hold test views out of the training."""
    llffhold: int = 8
    """With --eval: every how-manyth image, sorted by name, is a test view."""
    test_offset: int = 0
    """With --eval: index of the first test view in that order; Feature 3DGS and Label-3DGS use 2."""
    test_list: str = ""
    """With --eval: text file with one test image name per line, instead of --llffhold."""
    dnerf_test: Literal["test", "val"] = "test"
    """NeRF-synthetic and D-NeRF scenes: the file of the test views; for D-NeRF's Lego use val."""
    nerfies_split: Literal["auto", "vrig", "interp", "all", "nerfds"] = "auto"
    """Nerfies family: train and test frames; auto = by the name of the parent folder."""
    nerfies_ratio: float = 0.0
    """Nerfies family: picture size relative to the cameras (0.25 = rgb/4x); 0 = by the split rule."""
    num_frames: int = 0
    """Neu3D: use the first so many frames of each camera; 0 = all."""
    times_from_names: bool = False
    """COLMAP scenes without times.json: the image names tell when a picture was taken."""
    alpha_train: Annotated[bool, arg(aliases=["-a"])] = False
    """Transparent images: the image loss also compares transparency, as a fourth channel (or see --lambda_alpha)."""
    flatten_alpha: bool = False
    """Make transparent images opaque when they are read: COLMAP: forget alpha; else: over the background (-w)."""
    ignore_principal_point: bool = False
    """Put the principal point in the image centre, as graphdeco does, instead of where the data set says."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1 ..."""
    backend: Literal["auto", "cuda", "cpu", "reference"] = "auto"
    """Rasterizer: auto picks by device; reference is plain torch (slow)."""


@dataclass(frozen=True)
class PipelineParams:
    """How images are rendered."""

    convert_SHs_python: bool = False
    """Accepted for old command lines; without effect, the rasterizer always evaluates the colours."""
    compute_cov3D_python: Annotated[bool, arg(aliases=["--convert_cov3D_python"])] = False
    """Accepted for old command lines; without effect, the rasterizer always computes the covariances."""
    debug: bool = False
    """More checks while rendering; slower."""
    antialiasing: bool = False
    """Compensate the opacity of Gaussians that are smaller than a pixel."""


@dataclass(frozen=True)
class OptimizationParams:
    """How the Gaussians are optimised. Where things move other defaults are in force: `arguments/presets.py`."""

    iterations: int = 30_000
    """Number of training steps."""
    position_lr_init: float = 0.00016
    """First learning rate of positions, times the extent of the scene."""
    position_lr_final: float = 0.0000016
    """Last learning rate of positions, times the extent of the scene."""
    position_lr_delay_mult: float = 0.01
    """Accepted for old command lines; without effect, as there is no delay."""
    position_lr_max_steps: int = 30_000
    """Step at which positions reach their last learning rate."""
    feature_lr: float = 0.0025
    """Learning rate of the base colour; the other colour coefficients use a twentieth."""
    opacity_lr: float = 0.025
    """Learning rate of opacities."""
    scaling_lr: float = 0.005
    """Learning rate of sizes."""
    rotation_lr: float = 0.001
    """Learning rate of rotations."""
    exposure_lr_init: float = 0.01
    """First learning rate of exposures (--exposure)."""
    exposure_lr_final: float = 0.001
    """Last learning rate of exposures."""
    exposure_lr_delay_steps: int = 0
    """Steps over which the exposure learning rate rises at the start."""
    exposure_lr_delay_mult: float = 0.0
    """Factor of the exposure learning rate at the very start."""
    percent_dense: float = 0.01
    """Size, relative to the extent, above which a Gaussian is split rather than cloned."""
    lambda_dssim: float = 0.2
    """Weight of D-SSIM against L1 in the image loss."""
    densification_interval: int = 100
    """Steps between two densifications."""
    opacity_reset_interval: int = 3000
    """Steps between two opacity resets."""
    densify_from_iter: int = 500
    """First step of densification."""
    densify_until_iter: int = 15_000
    """Last step of densification."""
    densify_grad_threshold: float = 0.0002
    """Mean screen-space gradient above which a Gaussian is cloned or split."""
    depth_l1_weight_init: float = 1.0
    """First weight of the depth loss (--depths)."""
    depth_l1_weight_final: float = 0.01
    """Last weight of the depth loss."""
    depth_loss: Literal["l1", "robust"] = "l1"
    """l1 = absolute difference of inverse depths; robust = one that wrong parts of the maps hardly pull on."""
    random_background: bool = False
    """Another random background at every step."""
    optimizer_type: Literal["default", "sparse_adam"] = "default"
    """default = Adam on all Gaussians; sparse_adam = only on those that are seen."""
    densification: Literal["adaptive", "mcmc"] = "adaptive"
    """adaptive = clone, split, prune (Kerbl et al. 2023); mcmc = relocate and explore (Kheradmand et al. 2024)."""
    max_gaussians: Annotated[int, arg(aliases=["--cap_max"])] = 0
    """Upper limit of the number of Gaussians; 0 = none. With mcmc they grow up to it: 1000000 if left out."""
    noise_lr: float = 500_000.0
    """mcmc: noise on the positions of faint Gaussians, times their learning rate."""
    opacity_reg: Annotated[float | None, arg(aliases=["--lambda_opacity"])] = None
    """Weight of the mean opacity, which thins out what is not needed; left out = 0.01 with mcmc, else 0."""
    scale_reg: Annotated[float | None, arg(aliases=["--lambda_scale"])] = None
    """Weight of the mean size in world units; left out = 0.01 with mcmc, else 0."""
    clean: bool = False
    """Before the last tenth of the steps, remove Gaussians that hardly show, hang before surfaces, or are strays."""
    absgrad: bool = False
    """Densify by the sum of absolute screen-space gradients (AbsGS)."""
    prune_screen_size: bool = False
    """Also remove Gaussians that are large on the screen, after the first opacity reset."""
    lambda_alpha: float = 0.0
    """Weight of the L1 loss between rendered and image transparency; with --alpha_train instead of a fourth channel."""
    inactive_purge_threshold: float | None = None
    """Remove what has changed less in an interval; left out = 0.015 with --load_layer, else off; negative = off."""
    inactive_purge_decay: float = 0.975
    """Factor of that threshold from one interval (--densification_interval) to the next."""


@dataclass(frozen=True)
class SemanticParams:
    """Features distilled from a 2D teacher."""

    foundation_model: Annotated[str, arg(aliases=["-f", "--fundation_model"])] = ""
    """Teacher, e.g. classical, oracle, lseg, sam; label = class labels instead of features; empty = neither."""
    semantic_dimension: Annotated[int, arg(aliases=["--sementic_dimension", "--feature_dim"])] = 0
    """Feature width per Gaussian; 0 = the teacher's. A smaller one gets a linear decoder."""
    speedup: bool = False
    """Use a smaller feature width, the teacher's divided by --speedup_ratio, and a linear decoder."""
    speedup_ratio: int = 4
    """Divisor of the feature width with --speedup."""
    distill: Literal["lift", "sgd", "lift+sgd"] = "lift+sgd"
    """lift = weighted means of the teacher's maps, no training; sgd = training only; lift+sgd = lift, then train."""
    lift_iteration: int = 0
    """With lift+sgd: step after which features are lifted and their training starts; 0 = half of the steps."""
    semantic_feature_lr: float = 0.001
    """Learning rate of the features."""
    loss_reduce: float = 1.0
    """Weight of the feature loss."""
    semantic_geometry_grad: bool = False
    """Let the feature loss move the geometry too (exact gradient)."""
    feature_res: Literal["image", "teacher"] = "image"
    """Render features at the size of the image, or directly at the size of the teacher's map."""
    semantic_start: int = 0
    """First step with a feature loss."""
    semantic_stop: int = 0
    """Last step with a feature loss; 0 = the last of all."""
    semantic_loss: Literal["l1", "l2", "cosine"] = "l1"
    """Distance between rendered features and the teacher's."""
    label_lr: float = 0.001
    """Learning rate of class labels (-f label)."""
    label_loss: Literal["ce", "ce_compat", "nll_prob"] = "ce"
    """ce: cross-entropy of blended logits; ce_compat: after a softmax (Label-3DGS); nll_prob: of probabilities."""
    teacher_cache: Literal["auto", "disk", "ram", "gpu"] = "auto"
    """Where the teacher's maps stay; auto = up to a quarter of the free GPU memory, or 256 MiB without a GPU."""
    feature_cache: str = ""
    """Folder of feature maps (-f label: of label maps); empty = the teacher's own place in the data set."""


@dataclass(frozen=True)
class TrainParams:
    """The training run: what is measured and saved, and when."""

    test_iterations: tuple[int, ...] = (7000, 30_000)
    """Steps at which train and test views are measured; -1 = never."""
    save_iterations: tuple[int, ...] = (7000, 30_000)
    """Steps at which the Gaussians are saved; the last step always is."""
    checkpoint_iterations: tuple[int, ...] = ()
    """Steps at which a checkpoint is saved."""
    checkpoint_every: int = 0
    """Also save a checkpoint every so many steps; 0 = only when interrupted."""
    start_checkpoint: str = ""
    """Checkpoint file (chkpnt*.pth) to continue from."""
    resume: bool = False
    """Continue from the newest checkpoint in the model folder."""
    teacher_weights: Annotated[str, arg(aliases=["--Lseg_model_path"])] = ""
    """Weight file of the teacher, where its maps are still to be made; empty = where weights usually are."""
    start_ply: str = ""
    """PLY file of Gaussians to start from."""
    save_layer: bool = False
    """Also save the Gaussians, with all layers loaded before, as layer_save_<step>.pth: a layer for --load_layer."""
    load_layer: str = ""
    """Earlier layers, drawn but never changed: layer_save_*.pth, or a splat file such as point_cloud.ply."""
    inline_layers: bool = False
    """With --load_layer: also number the layers in the PLY itself, in a last column that some viewers cannot read."""
    freeze_geometry: bool = False
    """Train features or labels only, on the Gaussians of --start_ply; with --distill lift that is a single pass."""
    init: Literal["auto", "points", "random"] = "auto"
    """Start from the data set's points or from random ones; auto = points when there are any."""
    init_count: int = 100_000
    """Number of random points."""
    cuda_graph: bool = True
    """On a GPU, issue each iteration as one CUDA graph where it can be (not while distilling)."""
    tensorboard: bool = False
    """Also write TensorBoard events, when TensorBoard is installed."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
    detect_anomaly: bool = False
    """Let torch find the operation behind a NaN gradient; slow."""
    debug_from: int = -1
    """Accepted for old command lines; without effect, use --debug."""
    ip: str = "127.0.0.1"
    """Numeric address at which a SIBR remote viewer finds the training."""
    port: int = 6009
    """Port for a SIBR remote viewer; if the default one is taken there is none, without a word."""
    disable_viewer: bool = False
    """Do not open a port for SIBR."""
    viewer: bool = False
    """Show the training in a web browser."""
    viewer_ip: str = "127.0.0.1"
    """Address of --viewer; 0.0.0.0 lets the whole network in."""
    viewer_port: int = 8080
    """Port of --viewer; the next free one if it is taken."""
