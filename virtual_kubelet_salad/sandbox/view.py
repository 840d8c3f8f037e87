"""Chooses how the sandbox is shown: tables that are redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.line_view import LineScreen
from virtual_kubelet_salad.sandbox.screen import Head, Screen

_MISSING_EXTRA = "For live tables: pip install 'virtual-kubelet-salad[sandbox]'"


@contextlib.contextmanager
def open_view(head: Head, clock: Clock, stream: TextIO | None = None) -> Iterator[Screen]:
    """A screen for standard output: live tables if it is a terminal and rich is installed, else lines.

    While the tables are open, `sys.stderr` is one that writes above them: a log that is set up inside does not tear
    them.
    """
    target = stream if stream is not None else sys.stdout
    if target.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        try:
            from virtual_kubelet_salad.sandbox.live_view import LiveScreen
        except ImportError:
            print(_MISSING_EXTRA, file=target)
        else:
            with LiveScreen(head, clock) as screen:
                yield screen
            return
    yield LineScreen(head, clock, target)
