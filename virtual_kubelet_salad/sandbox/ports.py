"""Finds free TCP ports on loopback for servers that must be told their port, and get the same one after a restart."""

from __future__ import annotations

import pathlib
import random
import socket

FIRST_PORT = 20_000
LINUX_DEFAULT_FIRST_EPHEMERAL_PORT = 32_768


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on.

    They lie below the range from which the kernel takes the ports of outgoing connections: a port of that range could
    be taken while its server is stopped, or a client that dials it could even be connected to itself.
    """
    candidates = list(range(FIRST_PORT, _first_ephemeral_port()))
    random.SystemRandom().shuffle(candidates)
    ports: list[int] = []
    for port in candidates:
        if len(ports) == count:
            return ports
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
    raise RuntimeError(f"fewer than {count} free ports between {FIRST_PORT} and {_first_ephemeral_port()}")


def _first_ephemeral_port() -> int:
    setting = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(setting.read_text().split()[0]) if setting.exists() else LINUX_DEFAULT_FIRST_EPHEMERAL_PORT
    return first if first >= FIRST_PORT + 1_000 else LINUX_DEFAULT_FIRST_EPHEMERAL_PORT
