"""Things to look at in tests: the three balls, standing or moving."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from encoders.record import TeacherRecord
from scene.gaussian_model import GaussianModel
from tests.blobs import REFERENCE, blob_model, ring_cameras
from utils.work_desk import WorkDesk
from viewer.client_cameras import Surroundings
from viewer.source import Snapshot, Source


def blob_source(folder: Path, model: GaussianModel | None = None, cameras=None, **fields) -> Source:
    """A source of the balls, rendered by the reference."""
    model = blob_model() if model is None else model
    model = model.to("cpu")
    for parameter in model.params.values():
        parameter.requires_grad_(False)
    train = tuple(ring_cameras() if cameras is None else cameras)
    given = {
        "now": lambda: Snapshot(model),
        "settings": REFERENCE,
        "background": None,
        "folder": folder / "viewer",
        "surroundings": Surroundings.of_views(train),
        "train": train,
        "teacher": TeacherRecord("oracle", model.feature_dim),
    }
    return Source(**(given | fields))


@contextmanager
def desk_served() -> Iterator[WorkDesk]:
    """A desk with an owner of its own."""
    desk, over = WorkDesk(), threading.Event()

    def own() -> None:
        while not over.is_set():
            desk.wait(0.05)

    thread = threading.Thread(target=own)
    thread.start()
    try:
        yield desk
    finally:
        over.set()
        desk.close()
        thread.join()
