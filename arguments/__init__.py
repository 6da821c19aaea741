"""Options of all scripts: typed groups, the command line, and what is saved with a model."""

from arguments.cli import OptionError, flag_names, merge_saved, parse
from arguments.config_file import load_config, resolve_paths, save_config, save_legacy_args
from arguments.exchange_params import ExchangeParams
from arguments.motion_params import MotionParams
from arguments.params import ModelParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from arguments.presets import MOVING_ITERATIONS, combined, implied_preset, moving_preset
from arguments.script_params import FollowParams, MetricsParams, RenderParams, SegmentParams, VideoParams
from arguments.tracking_params import TrackingParams
from arguments.tracking_preset import tracking_preset, usual_first_iterations
from arguments.view_params import ViewParams

__all__ = [
    "MOVING_ITERATIONS",
    "ExchangeParams",
    "FollowParams",
    "MetricsParams",
    "ModelParams",
    "MotionParams",
    "OptimizationParams",
    "OptionError",
    "PipelineParams",
    "RenderParams",
    "SegmentParams",
    "SemanticParams",
    "TrackingParams",
    "TrainParams",
    "VideoParams",
    "ViewParams",
    "combined",
    "flag_names",
    "implied_preset",
    "load_config",
    "merge_saved",
    "moving_preset",
    "parse",
    "resolve_paths",
    "save_config",
    "save_legacy_args",
    "tracking_preset",
    "usual_first_iterations",
]
