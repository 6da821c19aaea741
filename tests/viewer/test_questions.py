from dataclasses import replace

import pytest
import torch

from encoders import text
from gaussian_renderer.mask_lifting import ViewPrompt
from gaussian_renderer.prompting import pointed_prompt, seen_cloud
from scene.selection import select
from tests.blobs import CENTRES, REFERENCE, blob_labels, blob_model, ring_cameras
from tests.viewer.scenes import blob_source
from utils.errors import UserError
from viewer.questions import Answerer, Question, encode_words
from viewer.source import Snapshot

CAMERAS = ring_cameras()


def pixel_of(ball: int, camera=CAMERAS[0]) -> tuple[int, int]:
    place = camera.world_to_camera @ torch.cat([CENTRES[ball], torch.ones(1)])
    return int(place[0] / place[2] * camera.fx + camera.cx), int(place[1] / place[2] * camera.fy + camera.cy)


def test_a_click_answers_like_segment_py(tmp_path):
    source = blob_source(tmp_path)
    question = Question().with_click(CAMERAS[0], pixel_of(0), True)
    answer = Answerer(source).answer(question)
    model = source.now().model
    prompt = pointed_prompt(CAMERAS[0], model, model.features, ViewPrompt((pixel_of(0),)), (), REFERENCE)
    same = select(model.features, prompt, seen_cloud(source.train, model, REFERENCE))
    assert torch.equal(answer.selection.mask, same.mask) and answer.selection.threshold == same.threshold
    assert (answer.selection.mask == (blob_labels() == 0)).float().mean() > 0.98 and answer.count > 30


def test_clicks_in_several_views_add_up_and_oppose(tmp_path):
    answerer = Answerer(blob_source(tmp_path))
    both = Question(connected=False).with_click(CAMERAS[0], pixel_of(0), True)
    both = both.with_click(CAMERAS[2], pixel_of(1, CAMERAS[2]), True)
    assert len(both.clicks) == 2 and not both.connected
    mask = answerer.answer(replace(both, threshold=0.6)).selection.mask
    assert (mask == (blob_labels() != 2)).float().mean() > 0.95
    less = replace(both.with_click(CAMERAS[0], pixel_of(1), False), threshold=0.6)
    assert len(less.clicks) == 2 and less.clicks[-1].asked.negative
    mask = answerer.answer(less).selection.mask
    assert mask[blob_labels() == 1].float().mean() < 0.6  # queries of one ball, for and against


def test_clicks_on_what_is_left_go_through_what_is_hidden(tmp_path):
    source = blob_source(tmp_path)
    behind = next(camera for camera in CAMERAS if camera.image_name == "003.png")
    keep = blob_labels() != 2  # the blue ball hides others from behind
    question = Question().with_click(behind, pixel_of(0, behind), True, keep)
    mask = Answerer(source).answer(question).selection.mask
    assert (mask == (blob_labels() == 0)).float().mean() > 0.95
    again = question.with_click(behind, pixel_of(0, behind), True)
    assert len(again.clicks) == 2  # seen otherwise: another view


def test_words_use_the_teachers_encoder(tmp_path, monkeypatch):
    class Encoder:
        dim = 4

        def encode(self, texts):
            return torch.eye(4)[[{"red": 0, "green": 1}.get(word, 3) for word in texts]]

    opened = []

    def open_text(record, weights):
        opened.append((record.name, weights))
        return Encoder()

    monkeypatch.setattr(text.text_encoders, "get", lambda name: open_text)
    monkeypatch.setattr(type(text.text_encoders), "__contains__", lambda self, name: True)
    source = blob_source(tmp_path, text_weights="w.pth")
    question = Question().with_words("green", ["red"])
    words = encode_words(source, question)
    assert opened == [("oracle", "w.pth")] and words.shape == (2, 4)
    mask = Answerer(source).answer(question, words).selection.mask
    assert (mask == (blob_labels() == 1)).float().mean() > 0.95


def test_a_label_model_knows_its_classes_without_an_encoder(tmp_path):
    model = blob_model(feature_dim=3, noise=0.0).with_features(4 * torch.eye(3)[blob_labels()])
    source = blob_source(tmp_path, model, classes=("red", "green", "blue"))
    question = Question().with_words("blue", [])
    assert encode_words(source, question) is None
    assert torch.equal(Answerer(source).answer(question).selection.mask, blob_labels() == 2)


def test_wrong_questions_are_one_line(tmp_path):
    answerer = Answerer(blob_source(tmp_path))
    assert answerer.answer(Question()) is None
    with pytest.raises(UserError, match="shows nothing"):
        answerer.answer(Question().with_click(CAMERAS[0], (0, 0), True))
    with pytest.raises(UserError, match="no positive"):
        answerer.answer(Question().with_click(CAMERAS[0], pixel_of(0), False))
    bare = blob_source(tmp_path, blob_model().with_features(None), teacher=None)
    with pytest.raises(UserError, match="no features"):
        Answerer(bare).answer(Question().with_click(CAMERAS[0], pixel_of(0), True))
    with pytest.raises(UserError, match="no features"):
        encode_words(bare, Question().with_words("red", []))


def test_a_changed_model_is_asked_anew(tmp_path):
    now = [Snapshot(blob_model(noise=0.0))]
    answerer = Answerer(blob_source(tmp_path, now=lambda: now[0]))
    question = Question().with_click(CAMERAS[0], pixel_of(0), True)
    assert answerer.answer(question).rows == 0
    order = torch.arange(119, -1, -1)
    now[0] = Snapshot(now[0].model.subset(order), rows=1, values=1)
    turned = answerer.answer(question)
    assert turned.rows == 1 and torch.equal(turned.selection.mask, blob_labels()[order] == 0)
