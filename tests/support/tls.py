"""TLS handshakes without a socket: what client and server agree on, or why they do not."""

from __future__ import annotations

import pathlib
import ssl
from typing import Any


def client_context(pair: tuple[pathlib.Path, pathlib.Path] | None = None) -> ssl.SSLContext:
    """A client that believes every server, as the API server does without `--kubelet-certificate-authority`; `pair` is
    its certificate and key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[dict[str, Any] | None, bytes | None]:
    """The client's certificate as the server sees it, and the server's (DER) as the client does. Raises SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server)
    waiting = [theirs, ours]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
        if not waiting:
            return ours.getpeercert(), theirs.getpeercert(binary_form=True)
    raise AssertionError("the handshake does not end")
