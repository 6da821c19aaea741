"""Viewers of a training: they are served on its thread, between two iterations, and it goes on without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from arguments import ModelParams, SemanticParams, TrainParams
from encoders.record import TeacherRecord
from gaussian_renderer import RenderSettings, render
from gaussian_renderer.feature_decoder import LinearDecoder
from gaussian_renderer.sibr_protocol import SibrRequest, picture_bytes
from gaussian_renderer.sibr_server import SibrServer
from gaussian_renderer.trained import read_classes
from scene import Scene
from scene.gaussian_model import GaussianModel
from utils.progress import say, warn
from utils.work_desk import WorkDesk
from viewer.client_cameras import Surroundings
from viewer.live import LiveTraining
from viewer.panels import add_panels
from viewer.session import Session
from viewer.source import Snapshot, Source
from viewer.web import WebViewer, require_viser

SHARE = 0.3  # of a training's time that pictures may take
PAUSE_SEC = 0.1  # between two looks whether a pause is over


class Distills(Protocol):
    """The part of a distiller that matters here."""

    def exported_decoder(self) -> LinearDecoder | None: ...


class Backdrop(Protocol):
    """The part of a training's background that matters here."""

    fixed: Tensor | None


class Density(Protocol):
    """The part of a densification strategy that matters here."""

    version: int


class Trains(Protocol):
    """The part of a training loop that matters here."""

    model: GaussianModel
    scene: Scene
    settings: RenderSettings
    background: Backdrop
    distiller: Distills | None
    density: Density
    model_path: Path
    iteration: int
    total: int
    figures: Mapping[str, Any]


class Stop(Protocol):
    """Whether the user has asked the training to stop."""

    requested: bool


class Viewers:
    """All viewers of one training; between two iterations it does one of their jobs, within `SHARE` of its time."""

    def __init__(self, trainer: Trains) -> None:
        self._trainer = trainer
        self.desk = WorkDesk(SHARE)
        self.sibr: SibrServer | None = None
        self.web: WebViewer | None = None
        self.live = LiveTraining(trainer.total)

    def open_sibr(self, ip: str, port: int, source_path: str) -> None:
        """Listen for SIBR. Where the port is taken the training goes on without, silently if it is the default one."""
        try:
            self.sibr = SibrServer((ip, port), self._sibr_picture, source_path)
        except OSError as error:
            if (ip, port) != (TrainParams.ip, TrainParams.port):
                warn(f"no SIBR viewer can connect: {ip}:{port}: {error.strerror or error}; training goes on without")

    def open_web(self, host: str, port: int, semantic: SemanticParams) -> None:
        """Serve the web page."""
        session = Session(live_source(self._trainer, semantic), self.desk)
        self.web = WebViewer(session, host, port, is_live=lambda: not (self.live.is_paused or self.live.is_over))
        add_panels(self.web, self.live)
        self.web.announce()

    def between_iterations(self, stop: Stop) -> None:
        """Serve; returns at once unless somebody has asked the training to wait."""
        self.live.iteration, self.live.figures = self._trainer.iteration, self._trainer.figures
        self.desk.serve()
        while self._is_held and not stop.requested:
            self.desk.wait(PAUSE_SEC)

    def after_training(self) -> None:
        """Serve those who are still there, until they leave or Ctrl-C."""
        self.live.is_over = True
        if self._is_kept:
            say("the training is over; the viewers are served until they leave, or until Ctrl-C")
        try:
            while self._is_kept:
                self.desk.wait(PAUSE_SEC)
        except KeyboardInterrupt:
            return

    def close(self) -> None:
        """End all servers."""
        self.desk.close()
        for server in (self.sibr, self.web):
            if server is not None:
                server.close()

    @property
    def _is_held(self) -> bool:
        return self.live.is_paused or (self.sibr is not None and not self.sibr.wishes.train)

    @property
    def _is_kept(self) -> bool:
        if self.web is not None and self.web.has_visitors:
            return True
        wishes = None if self.sibr is None or not self.sibr.has_client else self.sibr.wishes
        return wishes is not None and (wishes.keep_alive or not wishes.train)

    def _sibr_picture(self, request: SibrRequest) -> Tensor:
        trainer = self._trainer
        return self.desk.ask(lambda: sibr_picture(request, trainer.model, trainer.settings, trainer.background.fixed))


@torch.no_grad()
def sibr_picture(
    request: SibrRequest, model: GaussianModel, settings: RenderSettings, background: Tensor | None
) -> Tensor:
    """What SIBR asks for, uint8 [H, W, 3] on the CPU."""
    settings = replace(settings, with_features=False, scale_modifier=request.scale_modifier)
    return picture_bytes(render(request.camera, model, background, settings=settings).color).cpu()


@contextmanager
def watched(trainer: Trains, model: ModelParams, semantic: SemanticParams, train: TrainParams) -> Iterator[Viewers]:
    """Viewers of a training as its flags ask for, for as long as it lasts and somebody looks."""
    viewers = Viewers(trainer)
    try:
        if train.viewer:
            viewers.open_web(train.viewer_ip, train.viewer_port, semantic)
        if not train.disable_viewer:
            viewers.open_sibr(train.ip, train.port, model.source_path)
        yield viewers
        viewers.after_training()
    finally:
        viewers.close()


def check_viewer(train: TrainParams) -> None:
    """Refuse --viewer where its library is missing, before anything else is done."""
    if train.viewer:
        require_viser()


def live_source(trainer: Trains, semantic: SemanticParams) -> Source:
    """The model of a training, as it is between two iterations."""

    def now() -> Snapshot:
        model = trainer.model
        decoder = None if trainer.distiller is None else trainer.distiller.exported_decoder()
        rows = (trainer.density.version, len(model))
        return Snapshot(model, decoder, rows, (*rows, trainer.iteration))

    scene, snapshot = trainer.scene, now()
    model, decoder = snapshot.model, snapshot.decoder
    dim = model.feature_dim if decoder is None else decoder.teacher_dim
    return Source(
        now=now,
        settings=trainer.settings,
        background=trainer.background.fixed,
        folder=trainer.model_path / "viewer",
        surroundings=Surroundings.of_views(scene.train),
        train=scene.train,
        test=scene.test,
        images=scene.images,
        classes=read_classes(trainer.model_path, model.feature_dim) if dim else (),
        blends_probabilities=semantic.label_loss == "nll_prob",
        teacher=TeacherRecord.load(trainer.model_path, semantic.foundation_model, dim) if dim else None,
        model_path=trainer.model_path,
    )
