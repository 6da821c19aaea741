from pathlib import Path

from scene.cameras import Camera
from tests.blobs import ring_cameras
from viewer.commands import render_command, segment_command
from viewer.questions import Question

VIEWS: list[Camera] = ring_cameras()
FILE = Path("out/a b/viewer/fox_clicks.json")


def command(question, iteration=None):
    return segment_command(Path("out/a b"), question, "fox", VIEWS, iteration, FILE)


def test_clicks_in_one_training_view_are_its_pixels():
    question = Question().with_click(VIEWS[3], (4, 5), True).with_click(VIEWS[3], (6, 7), False)
    expected = "python segment.py -m 'out/a b' --view 3 --point 4 5 --negative 6 7 --iteration 30 --name fox"
    assert command(question, 30) == expected


def test_other_clicks_are_in_a_file():
    elsewhere = ring_cameras(5)[1]
    question = Question(connected=False).with_click(VIEWS[3], (4, 5), True).with_click(elsewhere, (6, 7), True)
    assert command(question) == f"python segment.py -m 'out/a b' --clicks '{FILE}' --no_connected --name fox"


def test_words_and_thresholds():
    question = Question(word="red fox", against=("wall", "dog"), threshold=0.25)
    text = "--text 'red fox' --negative wall --negative dog --threshold 0.25 --name fox"
    assert command(question) == f"python segment.py -m 'out/a b' {text}"


def test_paths_are_rendered_as_a_video_and_pictures_alone():
    base = "python render.py -m run --skip_train --skip_test --novel_view --path file --camera_path p.json"
    assert render_command(Path("run"), Path("p.json"), 1, None) == base
    assert render_command(Path("run"), Path("p.json"), 9, 7) == f"{base} --iteration 7 --video"
