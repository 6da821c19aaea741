"""scene/motion/timeline.py"""

from scene.motion.timeline import Timeline


def test_iterations_belong_to_moments():
    line = Timeline(first=4, each=3, count=3)
    assert [line.step_of(i) for i in range(1, 11)] == [0] * 4 + [1] * 3 + [2] * 3
    assert [i for i in range(1, 11) if line.begins(i)] == [5, 8]
    assert [i for i in range(1, 11) if line.ends(i)] == [4, 7, 10]
    assert line.total == 10
    assert line.share(4) == line.share(7) == 1.0
    assert abs(line.share(5) - 1 / 3) < 1e-9


def test_a_single_moment_has_no_others():
    line = Timeline(first=4, each=3, count=1)
    assert line.total == 4
    assert not any(line.begins(i) for i in range(1, 5))


def test_a_share_of_a_moment_is_at_least_one_iteration():
    line = Timeline(10, 20, 3)
    assert [line.within(1, 0.3), line.within(2, 0.5), line.within(2, 0.0), line.within(2, 1.0)] == [16, 40, 31, 50]
    assert abs(line.share(line.within(1, 0.3)) - 0.3) < 1e-9
