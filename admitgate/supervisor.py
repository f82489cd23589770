"""Run a command that can't outlive the process that asked for it, however that process ends.

A program that is ended with ``kill -9`` can't tidy up after itself, but the kernel still closes its
pipes. So between it and the command stands this small process, which reads one of those pipes: when
the pipe ends, the command and everything it started is ended, and the temporary folder is removed.

It runs as a script and imports only the standard library, so it starts in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

grace_seconds = 5.0


def start(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    output: IO[bytes] | int | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` under a supervisor, which has its exit status. End it with ``stop``."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(folder or ""), *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        cwd=cwd,
        env=env,
        start_new_session=True,  # Ctrl-C is for the one who asked; it then ends us in its own order
    )


def stop(process: subprocess.Popen[bytes], *, keep_folder_and_send: int | None = None) -> None:
    """End the command and wait until it is gone. A restart keeps the folder and names a signal."""
    words = b"" if keep_folder_and_send is None else b"%d" % keep_folder_and_send
    with contextlib.suppress(BrokenPipeError):
        process.communicate(words)
    process.wait()


def _supervise(folder: str, command: Sequence[str]) -> int:
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # no thread runs yet
    )
    keep_folder = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: _signal_all(child, signal.SIGTERM))
    threading.Thread(target=_end_with_stdin, args=(child, keep_folder), daemon=True).start()
    status = child.wait()
    _signal_all(child, signal.SIGKILL)  # whatever it left behind
    if folder and not keep_folder.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _end_with_stdin(child: subprocess.Popen[bytes], keep_folder: threading.Event) -> None:
    words = b"".join(iter(lambda: os.read(0, 64), b""))
    if words:
        keep_folder.set()
    _signal_all(child, int(words or signal.SIGTERM))
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        _signal_all(child, signal.SIGKILL)


def _signal_all(child: subprocess.Popen[bytes], number: int) -> None:
    # A group whose processes are all dead is "not permitted" on macOS.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _end_with_parent() -> None:
    """Where the kernel can: the command is ended even if this supervisor is killed."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(_supervise(sys.argv[1], sys.argv[2:]))
