"""Options of all scripts: typed groups, the command line, and what is saved with a model."""

from arguments.cli import OptionError, flag_names, merge_saved, parse
from arguments.config_file import load_config, resolve_paths, save_config
from arguments.params import ModelParams, OptimizationParams, PipelineParams, SemanticParams, TrainParams
from arguments.script_params import MetricsParams, RenderParams, SegmentParams, VideoParams

__all__ = [
    "MetricsParams",
    "ModelParams",
    "OptimizationParams",
    "OptionError",
    "PipelineParams",
    "RenderParams",
    "SegmentParams",
    "SemanticParams",
    "TrainParams",
    "VideoParams",
    "flag_names",
    "load_config",
    "merge_saved",
    "parse",
    "resolve_paths",
    "save_config",
]
