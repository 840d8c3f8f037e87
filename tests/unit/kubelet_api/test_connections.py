"""Which connection is cut when, on pairs of sockets that were never bound to anything."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad.kubelet_api.connections import Connections

MOST = 3
PATIENCE_SECONDS = 15.0


@pytest.fixture
def connections(fake_clock: FakeClock) -> Connections:
    return Connections(fake_clock, MOST, PATIENCE_SECONDS)


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with contextlib.ExitStack() as stack:
        made = [socket.socketpair() for _ in range(MOST + 2)]
        for ours, theirs in made:
            stack.enter_context(ours)
            stack.enter_context(theirs)
            theirs.setblocking(False)
        yield made


def is_cut(pair: tuple[socket.socket, socket.socket]) -> bool:
    try:
        return pair[1].recv(1) == b""
    except BlockingIOError:
        return False


Pairs = list[tuple[socket.socket, socket.socket]]


def test_a_full_port_cuts_whoever_was_quiet_longest(
    connections: Connections, pairs: Pairs, fake_clock: FakeClock
) -> None:
    for ours, _ in pairs[: MOST + 1]:
        assert connections.admit(ours)
        fake_clock.advance(1.0)
    assert [is_cut(pair) for pair in pairs[: MOST + 1]] == [True, False, False, False]
    assert len(connections) == MOST


def test_a_trusted_connection_is_never_cut_for_another(connections: Connections, pairs: Pairs) -> None:
    for ours, _ in pairs[:MOST]:
        connections.admit(ours)
    connections.trust(pairs[0][0])
    assert connections.admit(pairs[MOST][0])
    assert [is_cut(pair) for pair in pairs[:MOST]] == [False, True, False]


def test_there_is_no_place_beside_trusted_connections_alone(connections: Connections, pairs: Pairs) -> None:
    for ours, _ in pairs[:MOST]:
        connections.admit(ours)
        connections.trust(ours)
    assert not connections.admit(pairs[MOST][0])
    connections.distrust(pairs[1][0])
    assert connections.admit(pairs[MOST][0])
    assert is_cut(pairs[1])


def test_patience_ends_for_the_quiet_and_not_for_the_trusted(
    connections: Connections, pairs: Pairs, fake_clock: FakeClock
) -> None:
    for ours, _ in pairs[:2]:
        connections.admit(ours)
    connections.trust(pairs[1][0])
    fake_clock.advance(PATIENCE_SECONDS - 1)
    assert connections.sweep() == 0
    fake_clock.advance(1.0)
    assert connections.sweep() == 1
    assert [is_cut(pair) for pair in pairs[:2]] == [True, False]


def test_a_request_that_was_answered_begins_a_new_patience(
    connections: Connections, pairs: Pairs, fake_clock: FakeClock
) -> None:
    connections.admit(pairs[0][0])
    connections.trust(pairs[0][0])
    fake_clock.advance(1_000.0)
    connections.distrust(pairs[0][0])
    assert connections.sweep() == 0
    fake_clock.advance(PATIENCE_SECONDS)
    assert connections.sweep() == 1


def test_what_was_closed_takes_no_place(connections: Connections, pairs: Pairs) -> None:
    for ours, _ in pairs[:MOST]:
        connections.admit(ours)
        connections.trust(ours)
    connections.forget(pairs[0][0])
    assert connections.admit(pairs[MOST][0])
    connections.distrust(pairs[0][0])  # a late word about it changes nothing
    assert len(connections) == MOST


def test_the_stop_cuts_everyone_and_admits_nobody(connections: Connections, pairs: Pairs) -> None:
    for ours, _ in pairs[:2]:
        connections.admit(ours)
    connections.trust(pairs[0][0])
    connections.close()
    assert all(map(is_cut, pairs[:2]))
    assert not connections.admit(pairs[2][0])
