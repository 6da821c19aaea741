"""Options of view.py. Each field is a flag of the same name; see `params.py`."""

from __future__ import annotations

from dataclasses import dataclass

from arguments.config_file import OptionError
from arguments.params import ModelParams


@dataclass(frozen=True)
class ViewParams:
    """What is shown in the browser, and where."""

    ply: str = ""
    """Splat file to show instead of a model folder; with -s also the photographs of a data set."""
    iteration: int = -1
    """Saved step to load; -1 = the newest."""
    viewer_ip: str = "127.0.0.1"
    """Address of the web page; 0.0.0.0 lets the whole network in."""
    viewer_port: int = 8080
    """Port of the web page; the next free one if it is taken."""
    sibr: bool = False
    """Serve SIBR's remote viewer instead of a web page."""
    ip: str = "127.0.0.1"
    """With --sibr: numeric address at which it finds the model."""
    port: int = 6009
    """With --sibr: the port."""
    text_weights: str = ""
    """Weight file of the text encoder; empty = where weights usually are."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


def check_view_options(model: ModelParams, options: ViewParams) -> None:
    """Refuse a command line that names nothing to show, or two things."""
    if options.ply and model.model_path:
        raise OptionError("-m and --ply both name what to show; expected one of them; leave one out")
    if not options.ply and not model.model_path:
        raise OptionError("nothing to show; expected a model folder or a splat file; add -m FOLDER or --ply FILE")
    for name in ("viewer_port", "port"):
        if not 0 <= getattr(options, name) <= 65535:
            raise OptionError(f"--{name} is {getattr(options, name)}; expected 0 to 65535; change it")
