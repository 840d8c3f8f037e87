"""A subcommand as its own process, run to its end by a test.

It sees nothing of the test's own environment but what it is given, so that a variable of the developer's shell changes
no result.
"""

from __future__ import annotations

import dataclasses
import pathlib
import subprocess
import sys

from tests.support.cloud_process import REPOSITORY
from tests.support.daemon_process import API_KEY


@dataclasses.dataclass(frozen=True)
class Ended:
    """How it ended, and what it printed."""

    code: int
    out: str
    err: str

    def lines(self, beginning: str) -> list[str]:
        """The lines of its output that begin so."""
        return [line for line in self.out.splitlines() if line.startswith(beginning)]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "virtual_kubelet_salad", *arguments]


def environment(directory: pathlib.Path, api_key: str = API_KEY) -> dict[str, str]:
    """All that it sees."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(directory),
        "PYTHONPATH": str(REPOSITORY),
        "SALAD_CLOUD_API_KEY": api_key,
    }


def run(directory: pathlib.Path, *arguments: str, timeout: float = 180.0, api_key: str = API_KEY) -> Ended:
    """Runs `virtual-kubelet-salad <arguments>`. Raises subprocess.TimeoutExpired, after which it is gone too."""
    ended = subprocess.run(
        command(*arguments),
        cwd=directory,
        env=environment(directory, api_key),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    assert api_key not in ended.stdout + ended.stderr
    return Ended(ended.returncode, ended.stdout, ended.stderr)
