"""Unit tests speak to nobody: a socket that is about to connect fails the test."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from typing import NoReturn

import pytest

from virtual_kubelet_salad import logs


class ConnectsInUnitTest(BaseException):
    """Not an Exception, so that no code under test can take it for a failed connection and carry on."""


def _refuse(connecting: socket.socket, address: object) -> NoReturn:
    connecting.close()  # the caller may not get to it: it expects an OSError
    raise ConnectsInUnitTest(f"a unit test may not connect (to {address!r}); such a test belongs to tests/integration")


@pytest.fixture(autouse=True)
def no_socket_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", _refuse)


@pytest.fixture
def process_settings_are_restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command line that is read in this process sees no variable of the developer's shell, and its logging ends."""
    for name in [name for name in os.environ if name.startswith("SALAD_") or name == "KUBECONFIG"]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in logs.THIRD_PARTIES:
        logging.getLogger(name).setLevel(logging.NOTSET)
