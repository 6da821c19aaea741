"""Shows a model in a web browser, also over ssh and without a GPU; or serves it to SIBR's remote viewer.

    python view.py -m output/run
    python view.py --ply scene.ply
    python view.py --ply scene.ply -s data/scene
    python view.py -m output/run --sibr

What can be done there: docs/view.md. Ctrl-C ends it.
"""

from __future__ import annotations

from collections.abc import Sequence

from arguments import ModelParams, PipelineParams, SemanticParams, ViewParams, merge_saved, parse
from arguments.view_params import check_view_options
from gaussian_renderer.sibr_server import SibrServer
from utils.errors import UserError
from utils.progress import say, set_quiet
from utils.script import run
from utils.work_desk import WorkDesk
from viewer.observer import sibr_picture
from viewer.panels import add_panels
from viewer.session import Session
from viewer.source import Source, open_source
from viewer.web import WebViewer, require_viser

DESCRIPTION = "Show a model in a web browser."
GROUPS = (ModelParams, PipelineParams, SemanticParams, ViewParams)
WAIT_SEC = 1.0  # between two looks at Ctrl-C


def main(args: Sequence[str] | None = None) -> None:
    """Show what the command line asks for; `args` stands in for it."""
    groups = parse(DESCRIPTION, *GROUPS, args=args)
    check_view_options(groups[0], groups[-1])
    if groups[0].model_path:
        groups = merge_saved(DESCRIPTION, *GROUPS, args=args)
    options = groups[-1]
    set_quiet(options.quiet)
    if not options.sibr:
        require_viser()
    source, desk = open_source(*groups), WorkDesk()
    server = (
        serve_sibr(source, desk, options, groups[0].source_path) if options.sibr else serve_web(source, desk, options)
    )
    try:
        while True:
            desk.wait(WAIT_SEC)
    except KeyboardInterrupt:
        say("")
    finally:
        desk.close()
        server.close()


def serve_web(source: Source, desk: WorkDesk, options: ViewParams) -> WebViewer:
    """The web page."""
    web = WebViewer(Session(source, desk), options.viewer_ip, options.viewer_port)
    add_panels(web)
    web.announce()
    return web


def serve_sibr(source: Source, desk: WorkDesk, options: ViewParams, source_path: str) -> SibrServer:
    """The server that SIBR's remote viewer connects to."""
    model = source.now().model
    address = options.ip, options.port
    try:
        server = SibrServer(
            address,
            lambda request: desk.ask(lambda: sibr_picture(request, model, source.settings, source.background)),
            source_path,
        )
    except OSError as error:
        taken = f"{options.ip}:{options.port}: {error.strerror or error}"
        raise UserError(f"--port: {taken}; expected a free port; give another one") from None
    say(f"SIBR's remote viewer may connect to {options.ip}:{server.port}; Ctrl-C ends it")
    return server


if __name__ == "__main__":
    run(main)
