"""The only place that prints: messages, warnings and one progress bar."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm

LINE_INTERVAL_SEC = 10.0


class _Console:
    """Where messages go; holds the `--quiet` switch."""

    def __init__(self) -> None:
        self.quiet = False

    def write(self, text: str, stream) -> None:
        """Write one line without tearing a live progress bar."""
        with tqdm.external_write_mode(file=stream):
            stream.write(text + "\n")
        stream.flush()


_console = _Console()


def set_quiet(quiet: bool) -> None:
    """Silence `say` and `Progress` (warnings still reach stderr)."""
    _console.quiet = quiet


def say(text: str) -> None:
    """Print one message to stdout, unless quiet."""
    if not _console.quiet:
        _console.write(text, sys.stdout)


def warn(text: str) -> None:
    """Print `warning: text` to stderr, also when quiet."""
    _console.write(f"warning: {text}", sys.stderr)


def format_seconds(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def format_field(value: object) -> str:
    """A number in at most about six characters; anything else as text."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)


class Progress:
    """Progress over `total` steps: a bar on a terminal, one line per 10 s elsewhere, nothing when quiet.

    Args:
        total: number of the last step.
        initial: the step already reached, e.g. when a training is resumed.
    """

    def __init__(self, total: int, initial: int = 0) -> None:
        self.total = total
        self.initial = initial
        self.step = initial
        self._start_sec = self._last_line_sec = time.monotonic()
        self._last_printed = initial
        self._fields: dict[str, object] = {}
        self._bar: tqdm | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty() and not _console.quiet:
            self._bar = tqdm(total=self.total, initial=self.initial, dynamic_ncols=True, mininterval=0.2)
        self._start_sec = self._last_line_sec = time.monotonic()
        return self

    def update(self, step: int, **fields: object) -> None:
        """Say that `step` (absolute, not an increment) is done; `fields` are shown by name until replaced."""
        self._fields.update(fields)
        if self._bar is not None:
            if fields:
                self._bar.set_postfix_str(self._field_text(), refresh=False)
            self._bar.update(step - self.step)
        self.step = step
        if self._bar is None and time.monotonic() - self._last_line_sec >= LINE_INTERVAL_SEC:
            self._print_line()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self.step > self._last_printed:
            self._print_line()

    def _field_text(self) -> str:
        return ", ".join(f"{name} {format_field(value)}" for name, value in self._fields.items())

    def _print_line(self) -> None:
        now = time.monotonic()
        elapsed, done = now - self._start_sec, self.step - self.initial
        left = elapsed / done * max(0, self.total - self.step) if done > 0 else 0.0
        times = f"{format_seconds(elapsed)} gone, {format_seconds(left)} left"
        say("  ".join(part for part in (f"{self.step}/{self.total}", self._field_text(), times) if part))
        self._last_line_sec, self._last_printed = now, self.step
