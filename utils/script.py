"""How a script ends: clean messages instead of tracebacks, and exit codes that shells understand."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

TRACEBACK_VARIABLE = "SPLAT_DISTILL_TRACEBACK"
EXIT_ERROR, EXIT_INTERRUPTED = 1, 130


def run(main: Callable[[], None]) -> None:
    """Call `main` and exit: 0 when it returns, 1 after one `error: ...` line for what a user can mend, 130 on Ctrl-C.

    Set SPLAT_DISTILL_TRACEBACK=1 to see where an error came from. Faults of the program itself keep their traceback.
    """
    try:
        main()
    except KeyboardInterrupt:
        _leave("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has left; nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_ERROR)
    except (ValueError, OSError, MemoryError) as error:
        _leave(describe(error), EXIT_ERROR)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        _leave(describe(error), EXIT_ERROR)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the GPU's or the computer's memory is full."""
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return known or "DefaultCPUAllocator" in str(error)


def describe(error: BaseException) -> str:
    """The one line to print for `error`."""
    if is_out_of_memory(error):
        cure = "try smaller images (-r 2, -r 4), --data_device cpu, --max_gaussians or a smaller --semantic_dimension"
        return f"out of memory ({' '.join(str(error).split())[:160]}); {cure}"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _leave(message: str, code: int) -> None:
    if os.environ.get(TRACEBACK_VARIABLE, "") not in ("", "0"):
        traceback.print_exc()
    sys.stderr.write(f"error: {message}\n" if code == EXIT_ERROR else f"\n{message}\n")
    sys.stderr.flush()
    sys.exit(code)
