"""HTTP connections that another thread can cut, so that a call that hangs on one ends at once.

urllib3 lends a connection to the call that uses it and cannot reach it meanwhile; closing a pool leaves it alone. Here
every connection is known from before it connects until it is collected. Safe to call from any thread.
"""

from __future__ import annotations

import errno
import socket
import threading
import weakref

import urllib3


class OpenConnections:
    """The connections of some pools, in use or idle. Pools made of `pool_classes()` enter theirs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # With the thread that connected each: a pool that is one thread's own is used by no other.
        self._connections: weakref.WeakKeyDictionary[urllib3.connection.HTTPConnection, int] = (
            weakref.WeakKeyDictionary()
        )
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether `refuse_more` was called."""
        return self._is_closed

    def add(self, connection: urllib3.connection.HTTPConnection) -> None:
        """Know a connection that is about to connect."""
        with self._lock:
            self._connections[connection] = threading.get_ident()

    def refuse_more(self) -> None:
        """From now on whoever has just connected fails."""
        self._is_closed = True

    def check_open(self) -> None:
        """Raises OSError once `refuse_more` was called."""
        if self._is_closed:
            raise ConnectionAbortedError(errno.ECONNABORTED, "closed by ourselves")

    def shut_down(self, thread_id: int | None = None) -> None:
        """Shut the sockets, do not close them: the thread that waits on one sees its end and closes it. Only those that
        this thread has connected, if it is named.
        """
        with self._lock:
            connections = [each for each, owner in self._connections.items() if thread_id in (None, owner)]
        for connection in connections:
            connected = connection.sock
            if connected is None:
                continue
            try:
                # TLS within the TLS of a proxy is no socket but has one. And not a TLS socket's own method, which
                # would take its state away from under the thread that waits.
                plain = connected if isinstance(connected, socket.socket) else connected.socket
                socket.socket.shutdown(plain, socket.SHUT_RDWR)
            except OSError:
                continue  # it ended by itself meanwhile

    def pool_classes(self) -> dict[str, type[urllib3.HTTPConnectionPool]]:
        """For a pool manager's `pool_classes_by_scheme`. Connections are known before they connect, because a TLS
        handshake can hang too.
        """
        connections = self

        class Connection(urllib3.connection.HTTPConnection):
            def connect(self) -> None:
                connections.add(self)
                super().connect()
                connections.check_open()

        class TlsConnection(urllib3.connection.HTTPSConnection):
            def connect(self) -> None:
                connections.add(self)
                super().connect()
                connections.check_open()

        class Pool(urllib3.HTTPConnectionPool):
            ConnectionCls = Connection

        class TlsPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = TlsConnection

        return {"http": Pool, "https": TlsPool}
