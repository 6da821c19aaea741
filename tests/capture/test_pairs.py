"""Which photos are compared."""

from __future__ import annotations

from itertools import combinations

from capture.pairs import KEY_FRAMES, OVERLAP, choose_matcher, sequence_pairs


def test_all_pairs_for_few_photos_and_a_sequence_for_videos_and_many():
    assert choose_matcher("auto", 50, False) == "exhaustive"
    assert choose_matcher("auto", 50, True) == choose_matcher("auto", 1000, False) == "sequential"
    assert choose_matcher("exhaustive", 1000, True) == "exhaustive"
    assert choose_matcher("sequential", 5, False) == "sequential"


def test_a_sequence_has_neighbours_far_ones_and_loops():
    names = [f"{index:04d}" for index in range(500)]
    pairs = set(sequence_pairs(names))
    assert all(first < second for first, second in pairs) and len(pairs) == len(sequence_pairs(names))
    assert all((names[i], names[i + step]) in pairs for i in range(480) for step in (*range(1, OVERLAP + 1), 16))
    assert (names[0], names[-1]) in pairs  # a walk around something ends where it began
    ends = sum(abs(int(b) - int(a)) > 300 for a, b in pairs)
    assert 50 < ends < KEY_FRAMES**2
    assert len(pairs) < 500 * 20 < 500 * 499 / 2


def test_short_sequences_are_compared_wholly():
    names = list("abcdefgh")
    assert set(sequence_pairs(names)) == set(combinations(names, 2))
    assert sequence_pairs(["one"]) == []
