import signal
import subprocess
import sys

import pytest
import torch

from utils.errors import UserError
from utils.script import run


def outcome(error: BaseException, capsys: pytest.CaptureFixture) -> tuple[int, str]:
    """Exit code and stderr of a script that raises `error`."""

    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as leave:
        run(main)
    return leave.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("seen; expected; do"), "error: seen; expected; do\n"),
        (ValueError("two\n  lines"), "error: two lines\n"),
        (ValueError(), "error: ValueError\n"),
        (FileNotFoundError(2, "No such file or directory", "a.ply"), "error: a.ply: No such file or directory\n"),
    ],
)
def test_user_errors_are_one_line_and_exit_1(error, message, capsys):
    assert outcome(error, capsys) == (1, message)


def test_out_of_memory_says_what_to_try(capsys):
    cpu_error = RuntimeError("DefaultCPUAllocator: not enough")
    for error in (torch.OutOfMemoryError("CUDA out of memory. Tried ..."), MemoryError(), cpu_error):
        code, text = outcome(error, capsys)
        assert code == 1 and text.startswith("error: out of memory") and "-r 2" in text and text.count("\n") == 1


def test_ctrl_c_exits_130(capsys):
    code, text = outcome(KeyboardInterrupt(), capsys)
    assert code == 130 and "interrupted" in text


@pytest.mark.parametrize("error", [RuntimeError("a fault of ours"), TypeError("x"), KeyError("y")])
def test_faults_of_the_program_keep_their_traceback(error):
    def main() -> None:
        raise error

    with pytest.raises(type(error)):
        run(main)


def test_traceback_on_request(capsys, monkeypatch):
    monkeypatch.setenv("SPLAT_DISTILL_TRACEBACK", "1")
    code, text = outcome(UserError("seen"), capsys)
    assert code == 1 and "Traceback" in text and text.endswith("error: seen\n")


def test_success_returns():
    assert run(lambda: None) is None


def test_a_real_interrupt_and_a_closed_pipe_leave_no_traceback(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, time\nfrom utils.script import run\n"
        "def main():\n"
        "    print('ready', flush=True)\n"
        "    for _ in range(200):\n        time.sleep(0.05)\n        print('x' * 100, flush='pipe' in sys.argv)\n"
        "run(main)\n"
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, script], **pipes) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.communicate(timeout=20)[1] and process.returncode == 130
    with subprocess.Popen([sys.executable, script, "pipe"], **pipes) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(timeout=20) == 1
