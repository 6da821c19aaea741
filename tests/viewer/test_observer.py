"""Viewers of a training: it goes on as if there were none, waits when asked, and ends when it should."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import ndraster
import numpy as np
import pytest

import train
from arguments import SemanticParams
from examples.make_scene import SceneOptions, make
from tests.blobs import ring_cameras
from tests.helpers import ROOT
from tests.sibr_client import SibrClient, request_fields
from tests.viewer.scenes import blob_source
from viewer.observer import Viewers, live_source

BACKEND = "cpu" if "cpu" in ndraster.available_backends() else "reference"
FLAGS = (
    f"--eval --device cpu --backend {BACKEND} --init_count 100 --sh_degree 1 --test_iterations -1 "
    "--densify_from_iter 5 --densification_interval 5 --densify_grad_threshold 0.00005 --densify_until_iter 25 "
    "--random_background"
).split()
CAMERA = ring_cameras(width=32, height=24)[0]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scene"
    make(SceneOptions("static_blender", folder, size=(24, 18), views=6))
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def connected(port: int) -> SibrClient:
    for _ in range(3000):
        try:
            return SibrClient(port)
        except OSError:
            time.sleep(0.01)
    raise AssertionError("no server within 30 s")


def trained(data: Path, out: Path, *flags: str) -> bytes:
    train.main(["-s", str(data), "-m", str(out), *FLAGS, *flags])
    return next(out.glob("point_cloud/iteration_*/point_cloud.ply")).read_bytes()


def start(data: Path, out: Path, *flags: str) -> subprocess.Popen:
    command = [sys.executable, "train.py", "-s", str(data), "-m", str(out), *FLAGS, *flags]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def iterations(out: Path) -> int:
    path = out / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return json.loads(lines[-1])["iteration"] if lines else 0


def test_clients_of_all_kinds_change_nothing(data, tmp_path):
    """One that looks all the time, one that sends nonsense, one that vanishes: the same Gaussians bit for bit."""
    port, over, pictures = free_port(), threading.Event(), []

    def bother():
        while not over.is_set():
            try:
                with SibrClient(port) as client:
                    pictures.append(client.ask(request_fields(CAMERA))[0])
                    pictures.append(client.ask(request_fields(CAMERA, scaling_modifier=0.5))[0])
                    client.socket.sendall(struct.pack("<I", 5) + b"junk!")
                with SibrClient(port) as client:
                    client.send(request_fields(CAMERA))
            except OSError:
                time.sleep(0.005)

    thread = threading.Thread(target=bother)
    thread.start()
    try:
        looked_at = trained(data, tmp_path / "a", "--iterations", "60", "--port", str(port))
    finally:
        over.set()
        thread.join()
    assert pictures and pictures[0].shape == (24, 32, 3) and any(np.ptp(picture) > 0 for picture in pictures)
    assert looked_at == trained(data, tmp_path / "b", "--iterations", "60", "--disable_viewer")
    with pytest.raises(OSError):  # the server is gone with the training
        SibrClient(port, timeout_sec=1)


class Stub:
    """The part of a training loop that viewers see."""

    def __init__(self, folder: Path) -> None:
        source = blob_source(folder)
        self.model, self.settings, self.model_path = source.now().model, source.settings, folder
        self.scene = SimpleNamespace(train=source.train, test=(), images=None)
        self.background, self.distiller = SimpleNamespace(fixed=None), None
        self.density, self.figures = SimpleNamespace(version=0), {"loss": 0.5}
        self.iteration, self.total = 3, 10


def test_pauses_last_until_they_are_taken_back_or_stopping_is_requested(tmp_path):
    viewers, stop = Viewers(Stub(tmp_path)), SimpleNamespace(requested=False)
    viewers.between_iterations(stop)  # nobody is there
    viewers.live.is_paused = True
    threading.Timer(0.3, lambda: setattr(viewers.live, "is_paused", False)).start()
    start = time.monotonic()
    viewers.between_iterations(stop)
    assert time.monotonic() - start >= 0.25 and viewers.live.figures == {"loss": 0.5} and viewers.live.iteration == 3
    viewers.live.is_paused, stop.requested = True, True
    viewers.between_iterations(stop)
    viewers.close()


def test_sibr_pauses_and_keeps_the_program(tmp_path):
    viewers, stop = Viewers(Stub(tmp_path)), SimpleNamespace(requested=False)
    viewers.open_sibr("127.0.0.1", 0, "/data")
    owner = threading.Thread(
        target=lambda: [viewers.between_iterations(stop) or time.sleep(0.001) for _ in range(2000)]
    )
    owner.start()
    with SibrClient(viewers.sibr.port) as client:
        picture = client.ask(request_fields(CAMERA, train=0))[0]
        assert np.ptp(picture) > 100
        assert np.array_equal(client.ask(request_fields(CAMERA, train=0))[0], picture)  # drawn while training waits
        client.ask(request_fields(keep_alive=1))
        owner.join(timeout=30)
        assert not owner.is_alive()
        over = threading.Thread(target=viewers.after_training)
        over.start()
        assert client.ask(request_fields(CAMERA, keep_alive=1))[0] is not None
        assert over.is_alive()
    over.join(timeout=10)
    assert not over.is_alive()
    viewers.close()


def test_the_live_source_follows_the_training(tmp_path):
    trainer = Stub(tmp_path)
    source = live_source(trainer, SemanticParams(foundation_model="oracle"))
    before = source.now()
    trainer.iteration += 1
    assert source.now().rows == before.rows and source.now().values != before.values
    trainer.density.version += 1
    assert source.now().rows != before.rows
    assert source.teacher.name == "oracle" and source.folder == tmp_path / "viewer" and source.train


@pytest.mark.slow
def test_training_waits_while_a_client_wants_it_to_and_goes_on_when_it_leaves(data, tmp_path):
    port = free_port()
    process = start(data, tmp_path, "--iterations", "100000", "--port", str(port))
    try:
        with connected(port) as client:
            client.ask(request_fields(train=0))
            time.sleep(0.5)
            before = iterations(tmp_path)
            for _ in range(5):
                picture, path = client.ask(request_fields(CAMERA, train=0))
                time.sleep(0.1)
            assert picture.shape == (24, 32, 3) and path == str(data).encode()
            assert iterations(tmp_path) - before <= 100 and process.poll() is None  # logged every 100 steps at most
            held = iterations(tmp_path)
        for _ in range(3000):
            if iterations(tmp_path) > held + 200:
                break
            time.sleep(0.01)
        assert iterations(tmp_path) > held + 200
        with connected(port) as client:  # paused again: Ctrl-C still ends it, and saves
            client.ask(request_fields(train=0))
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "resume with" in out and list(tmp_path.glob("chkpnt*.pth")), err


@pytest.mark.slow
def test_keep_alive_holds_the_program_after_the_last_iteration(data, tmp_path):
    port = free_port()
    process = start(data, tmp_path, "--iterations", "300", "--port", str(port))
    try:
        with connected(port) as client:
            client.ask(request_fields(keep_alive=1))
            for _ in range(3000):
                client.ask(request_fields(CAMERA, keep_alive=1))
                if (tmp_path / "point_cloud/iteration_300/point_cloud.ply").exists():
                    break
            for _ in range(5):
                client.ask(request_fields(CAMERA, keep_alive=1))
                time.sleep(0.1)
            assert process.poll() is None
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0 and "the training is over" in out and "trained:" in out, err


def test_a_port_that_is_taken_is_said_only_where_it_was_asked_for(data, tmp_path, capsys, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = str(server.getsockname()[1])
        trained(data, tmp_path / "a", "--iterations", "2", "--port", taken)
        assert capsys.readouterr().err.count(f"no SIBR viewer can connect: 127.0.0.1:{taken}") == 1
        monkeypatch.setattr(train.TrainParams, "port", int(taken))
        trained(data, tmp_path / "b", "--iterations", "2", "--port", taken)
        assert "SIBR" not in capsys.readouterr().err


def test_a_missing_library_is_said_before_anything_is_done(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(ValueError, match="pip install viser"):
        trained(data, tmp_path / "out", "--viewer")
    assert not (tmp_path / "out").exists()
