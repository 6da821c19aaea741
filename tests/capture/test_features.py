from __future__ import annotations

import cv2
import numpy as np

from capture.features import Features, detect, match, merged_places


def picture(seed=0, side=160):
    noise = np.random.default_rng(seed).integers(0, 255, (side // 8, side // 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_NEAREST)


def test_a_slanted_view_is_recognised():
    image = picture()
    corners = np.float32([[0, 0], [160, 0], [160, 160], [0, 160]])
    slant = cv2.getPerspectiveTransform(corners, np.float32([[10, 20], [150, 55], [150, 105], [10, 150]]))
    first, second = detect(image), detect(cv2.warpPerspective(image, slant, (160, 160)))
    rows = match(first, second)
    expected = cv2.perspectiveTransform((first.pixels[rows[:, 0]] - 0.5)[None], slant)[0] + 0.5
    error = np.linalg.norm(expected - second.pixels[rows[:, 1]], axis=1)
    assert len(rows) > 60
    assert (error < 2).mean() > 0.8


def test_pixels_have_their_centres_at_one_half():
    image = np.zeros((65, 65, 3), np.uint8)
    cv2.circle(image, (32, 32), 6, (255, 255, 255), -1)
    found = detect(image).pixels
    assert np.abs(found - 32.5).max(1).min() < 0.3


def test_nothing_to_match_is_no_error():
    empty = detect(np.full((40, 40, 3), 90, np.uint8))
    assert len(empty) == 0 and match(empty, detect(picture())).shape == (0, 2)


def test_two_equal_places_are_not_told_apart():
    one = np.eye(384, dtype=np.float32)[:1]
    first = Features(np.float32([[1, 1], [5, 5]]), np.concatenate([one, np.eye(384, dtype=np.float32)[1:2]]))
    near = Features(np.float32([[50, 50], [51, 50]]), np.concatenate([one, one]))
    far = Features(np.float32([[50, 50], [90, 50]]), np.concatenate([one, one]))
    assert len(match(first, near)) <= 1
    assert len(match(first, far)) == 0


def test_points_of_one_place_become_one():
    places, which = merged_places(np.array([[0, 0], [10, 10], [0.6, 0.0]]))
    assert len(places) == 2 and which[0] == which[2] != which[1]
    np.testing.assert_allclose(places[which[0]], [0.3, 0])
