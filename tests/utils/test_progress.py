import pytest

from utils import progress
from utils.progress import Progress, format_field, format_seconds, say, set_quiet, warn


@pytest.fixture(autouse=True)
def loud():
    yield
    set_quiet(False)


def test_say_and_warn_go_to_their_streams(capsys):
    say("hello")
    warn("careful")
    out, err = capsys.readouterr()
    assert out == "hello\n" and err == "warning: careful\n"


def test_quiet_silences_messages_but_not_warnings(capsys):
    set_quiet(True)
    say("hello")
    with Progress(10) as bar:
        bar.update(10)
    warn("careful")
    out, err = capsys.readouterr()
    assert out == "" and err == "warning: careful\n"


def test_without_a_terminal_lines_come_every_ten_seconds(capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress(100, initial=40) as bar:
        for step in range(41, 101):
            clock[0] += 0.5
            bar.update(step, loss=1 / step)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["60/100", "80/100", "100/100"]
    assert "loss 0.01667" in lines[0] and "0:10 gone, 0:20 left" in lines[0]


def test_the_last_line_is_not_printed_twice(capsys):
    with Progress(3) as bar:
        bar.update(3)
    with Progress(3, initial=3):
        pass
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_terminal_gets_one_bar(capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    with Progress(5) as bar:
        for step in range(1, 6):
            bar.update(step, psnr=20.0 + step)
        say("in between")
    out, err = capsys.readouterr()
    assert "in between" in out and "100%" in err and "psnr 25" in err


def test_formats():
    assert [format_seconds(value) for value in (0, 61, 3725)] == ["0:00", "1:01", "1:02:05"]
    assert [format_field(value) for value in (0.012345, 12345.6, 7, "x")] == ["0.01235", "12346", "7", "x"]
