import threading
import time

import pytest

from utils.work_desk import DeskClosed, WorkDesk


def served(desk: WorkDesk, work):
    """What `work` returns to another thread that asks while this one serves."""
    results = []

    def ask():
        try:
            results.append(desk.ask(work))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive():
        desk.wait(0.01)
    thread.join()
    return results[0]


def test_work_is_done_on_the_owners_thread_and_its_result_comes_back():
    assert served(WorkDesk(), threading.current_thread) is threading.current_thread()


def test_errors_belong_to_whoever_asked():
    def fail():
        raise ValueError("no such thing")

    desk = WorkDesk()
    assert str(served(desk, fail)) == "no such thing"
    assert served(desk, lambda: 3) == 3  # and the owner goes on


def test_a_job_replaces_the_waiting_one_of_its_name_and_keeps_its_place():
    desk, done = WorkDesk(), []
    first = desk.put("a", lambda: done.append("old a"))
    desk.put("b", lambda: done.append("b"))
    desk.put("a", lambda: done.append("new a"))
    while desk.wait(0):
        pass
    assert done == ["new a", "b"] and first.cancelled()


def test_serving_takes_its_share_of_the_time_only():
    desk, start = WorkDesk(share=0.25), time.monotonic()
    busy = 0.0
    while time.monotonic() - start < 0.6:
        desk.put("picture", lambda: time.sleep(0.02))
        before = time.monotonic()
        desk.serve()
        busy += time.monotonic() - before
    assert 0.1 < busy / (time.monotonic() - start) < 0.4


def test_serving_nobody_costs_nothing_and_waiting_ends():
    desk, start = WorkDesk(), time.monotonic()
    desk.serve()
    assert not desk.wait(0.02)
    assert 0.02 <= time.monotonic() - start < 0.5


def test_a_closed_desk_refuses_and_releases_those_who_wait():
    desk = WorkDesk()
    released = []

    def ask():
        with pytest.raises(DeskClosed):
            desk.ask(lambda: None)
        released.append(True)

    thread = threading.Thread(target=ask)
    thread.start()
    while not desk._jobs:
        time.sleep(0.001)
    desk.close()
    thread.join(timeout=2)
    assert released and not desk.wait(0)
    with pytest.raises(DeskClosed):
        desk.put("x", lambda: None)
