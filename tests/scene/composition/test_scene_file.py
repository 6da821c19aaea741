"""Reading the JSON file of a composition."""

import math
from pathlib import Path

import pytest

from scene.composition.layers import Anchor
from scene.composition.retime import Clock
from scene.composition.scene_file import read_scene_file
from scene.composition.select import Choice
from utils.errors import UserError
from utils.files import write_json

PLAIN = {"name": "a", "model": "out/a"}
EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples" / "edits").glob("*.json"))


def read(tmp_path, *layers, **top):
    write_json(tmp_path / "scene.json", {"version": 1, "layers": list(layers) or [PLAIN], **top})
    return read_scene_file(tmp_path / "scene.json")


def test_a_short_file_has_the_usual_values(tmp_path):
    composition = read(tmp_path)
    (layer,) = composition.layers
    assert composition.base == "a" and composition.times is None and composition.camera is None
    assert layer.select == (Choice("all"),) and layer.remove == () and layer.clock == Clock()
    assert layer.keyframes[0].pose.scale == 1.0 and layer.gain == (1.0, 1.0, 1.0)


def test_all_keys_are_understood(tmp_path):
    follower = {
        "name": "hat",
        "ply": "hat.ply",
        "select": [{"box": [[0, 0, 0], [1, 2, 3]]}, {"gaussians": [4, 5]}],
        "remove": {"file": "x.npz"},
        "transform": {"translate": [1, 2, 3], "rotate_deg": [0, 90, 0], "scale": 2},
        "pivot": "center",
        "copies": [{"translate": [1, 0, 0]}],
        "clock": {"start": 0.5, "speed": -1, "loop": "pingpong", "reverse": True},
        "from": 0.25,
        "gain": [1, 0.5, 0],
        "opacity": 0.5,
        "follow": {"layer": "a", "select": {"selection": "head"}, "time": 0.5},
    }
    mover = {**PLAIN, "keyframes": [{"time": 0}, {"time": 1, "quat_wxyz": [2, 0, 0, 0]}]}
    camera = {"attach": {"layer": "hat"}, "look": {"layer": "a"}, "smooth": 0.2, "up": [0, 0, 1]}
    composition = read(tmp_path, mover, follower, frames=3, camera=camera, base="a")
    hat = composition.layers[1]
    assert composition.times == (0.0, 0.5, 1.0)
    assert hat.pivot is None and hat.appears == 0.25 and hat.copies[0].translate == (1.0, 0.0, 0.0)
    assert hat.keyframes[0].pose.quat_wxyz == pytest.approx((math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0))
    assert hat.clock == Clock(0.5, -1.0, "pingpong", True)
    assert hat.select == (Choice("box", ((0.0, 0.0, 0.0), (1.0, 2.0, 3.0))), Choice("gaussians", (4, 5)))
    assert hat.follow == Anchor("a", (Choice("selection", "head"),), 0.5)
    assert composition.layers[0].keyframes[1].pose.quat_wxyz == (1.0, 0.0, 0.0, 0.0)
    assert isinstance(composition.camera.look, Anchor) and composition.camera.smooth_sec == 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modl": "x"}, "layer 1: unknown key 'modl'; did you mean 'model'"),
        ({"ply": "x.ply"}, "layer 'a': has model and ply"),
        ({"transform": {}, "keyframes": []}, "has transform and keyframes"),
        ({"transform": {"scale": 0}}, "transform: scale is 0"),
        ({"transform": {"quat_wxyz": [0, 0, 0, 0]}}, "quat_wxyz is zero"),
        ({"transform": {"rotate_deg": [0, 0, 1], "quat_wxyz": [1, 0, 0, 0]}}, "has rotate_deg and quat_wxyz"),
        ({"keyframes": [{"time": 1}, {"time": 0}]}, "rising times"),
        ({"keyframes": [{"translate": [0, 0, 0]}]}, "time is missing"),
        ({"keyframes": [{"time": 0}, {"time": 1, "scale": 2}]}, "scales differ"),
        ({"select": "forground"}, "expected all, foreground, background"),
        ({"select": {"selection": "../other"}}, "expected a plain name"),
        ({"select": {"selection": "a", "file": "b"}}, "has 2 keys"),
        ({"select": {"box": [[1, 1, 1], [0, 0, 0]]}}, "low corner first"),
        ({"select": {"gaussians": [-1]}}, "whole numbers from 0 on"),
        ({"clock": {"loop": "pong"}}, "expected true, false or pingpong"),
        ({"gain": [1, -1, 1]}, "gain is"),
        ({"opacity": 2}, "expected a number in 0..1"),
        ({"follow": {"layer": "b"}}, "'b' is followed but is no layer"),
        ({"follow": {"layer": "a"}}, "follow in a circle: a -> a"),
        ({"iteration": 1.5}, "expected a whole number"),
    ],
)
def test_what_is_wrong_in_a_layer_is_said(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, PLAIN | change)
    assert str(error.value).startswith(str(tmp_path / "scene.json")) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ({"version": 2}, "version is 2; expected 1"),
        ({"layers": []}, "layers is empty"),
        ({"layers": [PLAIN, PLAIN]}, "two layers have the same name"),
        ({"layers": [{"name": "a"}]}, "has no model and no ply"),
        ({"layers": [{"name": "a", "ply": "x.ply"}]}, "expected a layer with a model"),
        ({"layers": [{"name": "a", "ply": "x.ply", "paint": {}}]}, "a splat file has no views"),
        ({"base": "b"}, "base is 'b'"),
        ({"times": [0, 0.5, 0.5]}, "rising numbers"),
        ({"frames": 3, "times": [0]}, "has frames and times"),
        ({"frames": 0}, "frames is 0"),
        ({"camera": {"attach": {"layer": "z"}}}, "'z' is followed but is no layer"),
        ({"camera": {"attach": {"layer": "a"}, "look": [0, 0, 0]}}, "look is zero"),
        ({"camera": {}}, "camera: attach is missing"),
    ],
)
def test_what_is_wrong_elsewhere_is_said(tmp_path, top, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, **top)


@pytest.mark.parametrize("text", ["", "[]", "{", "3", '{"version": "1"}'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "scene.json").write_text(text)
    with pytest.raises(UserError, match="scene.json"):
        read_scene_file(tmp_path / "scene.json")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid(path):
    assert read_scene_file(path).layers
