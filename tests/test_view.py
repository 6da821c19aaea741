"""view.py from the command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pytest

import view
from arguments import ModelParams, load_config
from scene.formats import write_splats
from tests.blobs import blob_model, ring_cameras, write_blob_run
from tests.helpers import ROOT, assert_one_line_error, run_script
from tests.sibr_client import SibrClient, request_fields

QUICK = ["--backend", "reference", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_blob_run(tmp_path_factory.mktemp("run"))


def started(*words: str, until: str) -> tuple[subprocess.Popen, re.Match]:
    """view.py in the background, as soon as it has said something like `until`."""
    command = [sys.executable, "-u", "view.py", *map(str, words), *QUICK]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ)
    )
    seen = ""
    for line in process.stdout:
        seen += line
        if match := re.search(until, line):
            return process, match
    raise AssertionError(seen)


def ended(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in out, out


def test_a_model_is_served_to_sibr_byte_by_byte(run):
    process, match = started("-m", run, "--sibr", "--port", "0", until=r"may connect to 127\.0\.0\.1:(\d+)")
    try:
        with SibrClient(int(match[1])) as client:
            camera = ring_cameras()[0]
            picture, path = client.ask(request_fields(camera, train=0))
            assert path == load_config(run, ModelParams).source_path.encode()
            assert picture.shape == (camera.height, camera.width, 3) and np.ptp(picture) > 100
        ended(process)
    finally:
        process.kill()


def test_a_page_is_served_until_ctrl_c(tmp_path):
    pytest.importorskip("viser")
    write_splats(tmp_path / "cat.ply", blob_model().to_arrays())
    process, match = started("--ply", tmp_path / "cat.ply", "--viewer_port", "0", until=r"viewer: (http://\S+)")
    try:
        with urllib.request.urlopen(match[1], timeout=10) as page:
            assert page.status == 200
        time.sleep(0.2)
        ended(process)
    finally:
        process.kill()


def test_wrong_command_lines_are_one_line(run, tmp_path):
    assert_one_line_error(run_script("view.py"), "nothing to show", "-m FOLDER or --ply FILE")
    for words, message in {
        ("-m", str(run), "--ply", "a.ply"): "both name what to show",
        ("--ply", str(tmp_path / "no.ply")): "no.ply",
        ("-m", str(tmp_path)): "expected a model folder",
        ("-m", str(run), "--port", "70000"): "--port is 70000",
    }.items():
        with pytest.raises((ValueError, OSError), match=message):
            view.main([*words, *QUICK])
