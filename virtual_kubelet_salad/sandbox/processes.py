"""A child process with its output in a file, never left behind.

It dies with the thread that started it, however that one ends (Linux): start it from a thread that stays, such as the
main thread. It is stopped by its own process id only. It has its own process group, so that Ctrl-C at the terminal
reaches only the process that started it, which then stops everything in order.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence

# Runs in the child before the program: asks the kernel to kill it with its parent (PR_SET_PDEATHSIG = 1), then becomes
# the program. Done by a small script and not between fork and exec, where Python may not run safely while the parent
# has threads. The check covers a parent that died before the request. Signals that the parent blocks, and a
# hang-up that it ignores (nohup), are let through to the program.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, 9)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ChildProcess:
    """One run of one program; `command[0]` is an absolute path. Start another one to run it again: the log file is
    appended to."""

    def __init__(
        self, name: str, command: Sequence[str], log: pathlib.Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        launcher = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [*launcher, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float) -> int:
        """Its exit code, at most `timeout` seconds later. Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout)

    def stop(self, graceful_seconds: float) -> int:
        """SIGTERM, after `graceful_seconds` SIGKILL. Returns its exit code. May be called again."""
        self._process.terminate()
        try:
            return self._process.wait(graceful_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL. Returns its exit code. May be called again."""
        self._process.kill()
        return self._process.wait(30)

    def log_tail(self, lines: int = 40, columns: int = 400) -> str:
        """The end of what it wrote; long lines are cut."""
        return "\n".join(line[:columns] for line in self.log.read_text(errors="replace").splitlines()[-lines:])
