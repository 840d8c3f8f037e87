"""Style and types as tests, so that one run with one closing line says whether everything holds."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
LIMIT_SECONDS = 300


def _says(*command: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    return done.returncode, done.stdout


def test_flake8_has_no_complaint() -> None:
    code, output = _says("flake8", "virtual_kubelet_salad", "tests")
    assert code == 0, output


def test_mypy_has_no_complaint() -> None:
    code, output = _says("mypy")
    assert code == 0, output
