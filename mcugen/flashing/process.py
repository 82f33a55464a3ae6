"""Running a flash tool: with a time limit, without leaving anything behind, output and errors in one text."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mcugen.errors import McugenError

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LAST_BYTES = 1 << 20
_GRACE_S = 2.0


@dataclass(frozen=True)
class Outcome:
    """How a tool ended; `code` is negative after a signal, None when it was stopped at the time limit."""

    code: int | None
    output: str


def run(command: Sequence[str], folder: Path, limit: float) -> Outcome:
    """Runs `command` in `folder`, without a keyboard, for at most `limit` seconds.

    Raises:
        McugenError: the program cannot be started.
    """
    with tempfile.TemporaryFile() as sink:
        try:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            fact = f"cannot be started ({error.strerror})"
            raise McugenError(command[0], fact, "install it again, or use another --tool") from error
        code: int | None = None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            _end(process)
        except BaseException:
            _end(process)
            raise
        return Outcome(code, _text(sink))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the tool and what it started; politely first, so that it can let go of the probe."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.kill()


def _text(sink: IO[bytes]) -> str:
    size = sink.seek(0, os.SEEK_END)
    sink.seek(max(0, size - _LAST_BYTES))
    return _COLOURS.sub("", sink.read().decode("utf-8", errors="replace"))
