"""Unit tests speak to nobody: a socket that is about to connect fails the test."""

from __future__ import annotations

import socket
from typing import NoReturn

import pytest


class ConnectsInUnitTest(BaseException):
    """Not an Exception, so that no code under test can take it for a failed connection and carry on."""


def _refuse(connecting: socket.socket, address: object) -> NoReturn:
    connecting.close()  # the caller may not get to it: it expects an OSError
    raise ConnectsInUnitTest(f"a unit test may not connect (to {address!r}); such a test belongs to tests/integration")


@pytest.fixture(autouse=True)
def no_socket_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", _refuse)
