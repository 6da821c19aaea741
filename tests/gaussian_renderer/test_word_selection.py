import torch

from gaussian_renderer.word_selection import opposing_words, select_words, word_scores
from scene.editing import CANONICAL_NEGATIVES
from scene.selection import Cloud
from tests.blobs import CENTRES, blob_labels, blob_model

LABELS = blob_labels()


def cloud() -> Cloud:
    return Cloud.of(blob_model().means.detach(), torch.ones(len(LABELS)))


def test_what_words_compete_with():
    assert opposing_words(["fox"], ["dog"], (), "lseg") == ["dog", *CANONICAL_NEGATIVES]
    assert opposing_words(["fox"], ["dog"], (), "lseg", canonical=False) == ["dog"]
    assert opposing_words(["fox"], [], (), "dinov2") == []
    assert opposing_words(["b"], ["ignored"], ("a", "b", "c"), "label") == ["a", "c"]


def test_each_word_gets_what_is_most_like_it():
    features = blob_model(noise=0.02).features.detach()
    scores = word_scores(features, None, (), ["x", "y", "z"], lambda words: torch.eye(4)[:3])
    found = select_words(scores, 2, cloud(), None, are_logits=False)
    assert len(CENTRES) == 3 and len(found) == 2
    for number, selection in enumerate(found):
        assert torch.equal(selection.mask, number == LABELS)


def test_classes_win_by_likelihood_and_need_no_encoder():
    logits = 3 * torch.eye(3)[LABELS]

    def fail(words):
        raise AssertionError("nothing is to be encoded")

    scores = word_scores(logits, None, ("a", "b", "c"), ["c", "a", "b"], fail)
    assert torch.equal(scores, logits[:, [2, 0, 1]])
    (selection,) = select_words(scores, 1, cloud(), None, are_logits=True)
    assert torch.equal(selection.mask, LABELS == 2) and selection.threshold == 0.5
