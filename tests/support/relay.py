"""A TCP relay on loopback that can go mute: connections stay, and nothing comes through any more."""

from __future__ import annotations

import socket
import threading
import types
from typing import Self

_CHUNK_BYTES = 65_536


class Relay:
    """Forwards to one port of this machine. A context manager; threads end with it."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_mute = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it ended by itself
            one.close()
        for thread in list(self._threads):
            thread.join()

    def mute(self) -> None:
        """From now on every byte is lost, in both directions; new connections are taken and hear nothing."""
        self._is_mute.set()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._target)
            except OSError:
                return
            with self._lock:
                self._sockets += [here, there]
            self._start(self._pump, here, there)
            self._start(self._pump, there, here)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                if not self._is_mute.is_set():
                    sink.sendall(data)
            if not self._is_mute.is_set():
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _start(self, work: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, name="relay")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
