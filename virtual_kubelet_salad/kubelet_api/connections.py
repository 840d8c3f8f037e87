"""Keeps account of the port's connections, so that slow, silent or many clients cannot take it away from the others.

A connection is *trusted* while it serves a request whose sender may make it; all others (before the handshake, between
requests, in the middle of a request line) are there on sufferance: when the port is full the one that has been quiet
longest is cut for the newest, and each is cut when it has been quiet for too long. Trusted ones are never cut but by
the stop. Safe to use from any thread; has none of its own.
"""

from __future__ import annotations

import logging
import socket
import threading

from virtual_kubelet_salad.runtime.clock import Clock

log = logging.getLogger(__name__)


class Connections:
    """At most `most` at a time; `patience_seconds` is how long one that is not trusted may take for anything."""

    def __init__(self, clock: Clock, most: int, patience_seconds: float) -> None:
        self._clock = clock
        self._most = most
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        # Connections on sufferance and since when they are quiet, longest first; and the trusted ones.
        self._quiet: dict[socket.socket, float] = {}
        self._trusted: set[socket.socket] = set()
        self._is_closed = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._quiet) + len(self._trusted)

    def admit(self, connection: socket.socket) -> bool:
        """Takes a new connection into account; False: there is no place for it, and the caller must close it."""
        victim: socket.socket | None = None
        with self._lock:
            if self._is_closed:
                return False
            if len(self._quiet) + len(self._trusted) >= self._most:
                victim = next(iter(self._quiet), None)
                if victim is None:
                    return False
                del self._quiet[victim]
            self._quiet[connection] = self._clock.monotonic()
        if victim is not None:
            log.debug("the port is full, the connection that was quiet longest is cut")
            _cut(victim)
        return True

    def trust(self, connection: socket.socket) -> None:
        """Its request may be made: it is left alone until `distrust`."""
        with self._lock:
            if self._quiet.pop(connection, None) is not None:
                self._trusted.add(connection)

    def distrust(self, connection: socket.socket) -> None:
        """The next request begins, or the last one is over: its time counts anew."""
        with self._lock:
            if connection in self._trusted or connection in self._quiet:
                self._trusted.discard(connection)
                self._quiet.pop(connection, None)
                self._quiet[connection] = self._clock.monotonic()

    def forget(self, connection: socket.socket) -> None:
        """It has been closed."""
        with self._lock:
            self._trusted.discard(connection)
            self._quiet.pop(connection, None)

    def sweep(self) -> int:
        """Cuts those that have been quiet for too long; how many."""
        with self._lock:
            oldest = self._clock.monotonic() - self._patience_seconds
            late = [connection for connection, since in self._quiet.items() if since <= oldest]
            for connection in late:
                del self._quiet[connection]
        for connection in late:
            _cut(connection)
        return len(late)

    def close(self) -> None:
        """Cuts all, trusted or not, and admits no more."""
        with self._lock:
            self._is_closed = True
            everyone = [*self._quiet, *self._trusted]
        for connection in everyone:
            _cut(connection)


def _cut(connection: socket.socket) -> None:
    """Shuts it, so that the thread that waits on it sees its end and closes it."""
    try:
        # The method of the plain socket: that of a TLS socket would take its state away from under that thread.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        log.debug("a connection to be cut was closed already")
