"""The command `sandbox` as its own process, read and stopped by a test.

It sees nothing of the test's own environment but what it is given, and its temporary files lie in a directory of the
test's, so that what it leaves behind is seen.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import types
from collections.abc import Mapping
from typing import Self

from tests.support.cloud_process import REPOSITORY
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.processes import ChildProcess

EXIT_SECONDS = 90.0
# What is asked for is two to three seconds; this is for a machine that does other things too.
STOP_SECONDS = 10.0


def command(*flags: str) -> list[str]:
    """What is run."""
    return [sys.executable, "-m", "virtual_kubelet_salad", "sandbox", *flags]


def environment(directory: pathlib.Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that it sees."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
        "TMPDIR": str(directory),
        "PYTHONPATH": str(REPOSITORY),
        **(more or {}),
    }


class SandboxProcess:
    """One run; a context manager that leaves nothing behind. Files that the sandbox leaves are `leftovers`."""

    def __init__(self, directory: pathlib.Path, *flags: str, environ: Mapping[str, str] | None = None) -> None:
        self._log = directory / "sandbox.log"
        self._temporary = directory / "temporary"
        self._temporary.mkdir()
        self._process = ChildProcess("sandbox", command(*flags), self._log, environment(self._temporary, environ))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._process.kill()

    def output(self) -> str:
        """Standard output and standard error, as they came."""
        return self._log.read_text()

    def wait_for_output(self, text: str, timeout: float = EXIT_SECONDS) -> None:
        def has_said() -> bool:
            assert self._process.exit_code() is None or text in self.output(), f"it ended:\n{self.output()}"
            return text in self.output()

        wait_until(has_said, timeout=timeout, what=f"{text!r} in the output")

    def wait_for_exit(self) -> int:
        """Its exit code."""
        return self._process.wait(EXIT_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Sends one signal; its exit code."""
        os.kill(self._process.pid, number)
        return self._process.wait(STOP_SECONDS)

    def leftovers(self) -> list[str]:
        """Files that are still there."""
        return [path.name for path in self._temporary.iterdir()]

    def children(self) -> list[int]:
        """The processes that it has started and that run."""
        listed = pathlib.Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(number) for number in listed.split()]
