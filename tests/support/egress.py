"""A way out for an API server whose nodes all live on loopback, under whatever address they announce.

The API server's proxy to nodes refuses loopback addresses. So a node announces an address that belongs to nobody, and
the API server is told to reach its nodes through this: a CONNECT proxy on a unix socket, which takes the port that is
asked for and dials this machine. Runnable: `python -m tests.support.egress SOCKET`.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import sys
import types
from typing import Self

from tests.support.cloud_process import REPOSITORY
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.processes import ChildProcess

# Of the range for documentation (RFC 5737): nobody has it.
NODE_ADDRESS = "192.0.2.1"
READY_SECONDS = 60.0
_CHUNK_BYTES = 65_536


class Egress:
    """A context manager: the proxy as a process of its own."""

    def __init__(self, directory: pathlib.Path) -> None:
        """`directory` gets the socket, whose path must be short, and the file for `--egress-selector-config-file`."""
        self.configuration = directory / "egress.json"
        self._socket = directory / "egress.sock"
        self._log = directory / "egress.log"
        transport = {"uds": {"udsName": str(self._socket)}}
        selection = {"name": "cluster", "connection": {"proxyProtocol": "HTTPConnect", "transport": transport}}
        whole = {"apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration"}
        self.configuration.write_text(json.dumps({**whole, "egressSelections": [selection]}))

    def __enter__(self) -> Self:
        """It serves when this returns."""
        command = [sys.executable, "-m", "tests.support.egress", str(self._socket)]
        environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"}
        self._process = ChildProcess("egress", command, self._log, environment)

        def serves() -> bool:
            assert self._process.exit_code() is None, self._process.log_tail()
            return self._socket.exists()

        wait_until(serves, timeout=READY_SECONDS, what="the egress")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._process.kill()
        self._socket.unlink(missing_ok=True)


async def _serve(path: str) -> None:
    server = await asyncio.start_unix_server(_connect, path)
    await server.serve_forever()


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection: `CONNECT host:port`, then bytes in both directions until either side ends."""
    asked = (await reader.readline()).split()
    while (await reader.readline()).strip():
        pass  # headers
    try:
        node_reader, node_writer = await asyncio.open_connection("127.0.0.1", int(asked[1].rpartition(b":")[2]))
    except OSError:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.gather(_pump(reader, node_writer), _pump(node_reader, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until `source` has no more; `sink` ends with it."""
    try:
        while data := await source.read(_CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
    except OSError:
        pass  # one side is gone, and so is the other soon
    finally:
        sink.close()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
