from viewer.pace import FULL, MOVING_SEC, REFRESH_SEC, SCALES, SMALL, STILL_SEC, Pace, picture_size


def drawn(pace, now, seconds=0.01, **kind):
    wanted = pace.due(now, **kind)
    if wanted is not None:
        pace.began(wanted, now)
        pace.ended(wanted, seconds)
    return wanted


def test_small_while_moving_then_full_once():
    pace = Pace()
    pace.touch(10.0)
    assert drawn(pace, 10.01).kind == SMALL
    assert drawn(pace, 10.05) is None  # nothing has changed since
    pace.touch(10.06)
    assert drawn(pace, 10.07).kind == SMALL
    assert drawn(pace, 10.07 + STILL_SEC).kind == FULL
    assert drawn(pace, 100.0) is None


def test_only_one_picture_at_a_time_and_changes_meanwhile_count():
    pace = Pace()
    pace.touch(0.0)
    wanted = pace.due(1.0)
    pace.began(wanted, 1.0)
    assert wanted.kind == FULL and pace.due(1.1) is None
    pace.touch(1.2)
    pace.ended(wanted, 0.5)
    assert drawn(pace, 1.3).kind == SMALL
    assert drawn(pace, 1.21 + STILL_SEC).kind == FULL


def test_a_failed_picture_is_not_tried_for_ever():
    pace = Pace()
    pace.touch(0.0)
    pace.began(pace.due(1.0), 1.0)
    pace.ended(None, 0.0)
    assert pace.due(1.1) is None


def test_a_live_model_is_drawn_again_and_again():
    pace = Pace()
    pace.touch(0.0)
    assert drawn(pace, 1.0, is_live=True).kind == FULL
    assert drawn(pace, 1.0 + 0.5 * REFRESH_SEC, is_live=True) is None
    assert drawn(pace, 1.0 + REFRESH_SEC, is_live=True).kind == FULL


def moving_scales(seconds):
    pace, scales = Pace(), []
    for step in range(20):
        pace.touch(step)
        scales.append(drawn(pace, step, seconds).scale)
    return scales


def test_slow_pictures_get_smaller_and_quick_ones_larger():
    assert moving_scales(2 * MOVING_SEC)[-1] == min(SCALES)
    assert moving_scales(0.1 * MOVING_SEC)[-1] == 1.0
    assert len(set(moving_scales(0.8 * MOVING_SEC))) == 1


def test_sizes_keep_the_aspect_and_the_limit():
    assert picture_size((1600, 900), 800, 1.0) == (800, 450)
    assert picture_size((1600, 900), 4000, 0.5) == (800, 450)
    assert picture_size((3, 1), 100, 0.01) == (1, 1)
