"""Passes on to a node's kubelet what an API server passes on: `kubectl logs`, the refusals of exec and its like, and
`/api/v1/nodes/NAME/proxy/…`.

The kubelet's answer is relayed as it comes, so a log that is followed flows, and ends with either side; only the
refusal of a log becomes a Status first. Bodies and upgrades of connections are not passed on. Runs on the thread of the
connection that asks. The paths and the texts of refusals are those of a real API server
(`pkg/registry/core/pod/strategy.go`).
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Iterator, Mapping

from virtual_kubelet_salad.sandbox.api_errors import ApiError, Json, bad_request

Get = Callable[[str], tuple[int, Json]]
"""This server's own answer to a GET: status and body."""

_OF_A_POD = {"log": "containerLogs", "exec": "exec", "attach": "attach", "portforward": "portForward"}
_CONNECT_SECONDS = 10.0
_PIECE_BYTES = 65_536
# This API server vouches for every token, as it knows no users.
_TOKEN = "sandbox"


def is_for_a_kubelet(path: str) -> bool:
    """Whether a kubelet answers this path."""
    match path.strip("/").split("/"):
        case ["api", "v1", "namespaces", _, "pods", _, subresource]:
            return subresource in _OF_A_POD
        case ["api", "v1", "nodes", _, "proxy", *_]:
            return True
    return False


def relay(method: str, path: str, query: Mapping[str, str], get: Get, client: socket.socket) -> None:
    """Give the kubelet's answer to the client, until either ends. The connection is of no further use then. Raises
    ApiError before anything was sent, and OSError when a side breaks off.
    """
    node, wanted = _node_and_path(path, dict(query), get)
    with _connect(node, get) as kubelet:
        head = (
            f"{method} {wanted} HTTP/1.1",
            f"Host: {node}",
            f"Authorization: Bearer {_TOKEN}",
            "Content-Length: 0",
            "Connection: close",
        )
        kubelet.sendall(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))
        pieces = _pieces(kubelet, client)
        first = next(pieces, b"")
        if path.endswith("/log") and _status(first) >= 400:
            raise _refusal(first + b"".join(pieces))
        client.sendall(first)
        for piece in pieces:
            client.sendall(piece)


def _node_and_path(path: str, query: dict[str, str], get: Get) -> tuple[str, str]:
    steps = path.strip("/").split("/")
    if steps[2] == "nodes":
        return steps[3], _with_query("/" + "/".join(steps[5:]), query)
    namespace, name, subresource = steps[3], steps[5], steps[6]
    pod = _object(get, f"/api/v1/namespaces/{namespace}/pods/{name}")
    node = pod["spec"].get("nodeName", "")
    container = _container(pod, query.pop("container", ""))
    if not node:
        raise bad_request(f"pod {name} does not have a host assigned")
    route = f"/{_OF_A_POD[subresource]}/{namespace}/{name}"
    return node, _with_query(route if subresource == "portforward" else f"{route}/{container}", query)


def _object(get: Get, path: str) -> Json:
    status, answer = get(path)
    if status != 200:
        raise ApiError(status, answer["message"], reason=answer["reason"], details=answer.get("details"))
    return answer


def _container(pod: Json, wanted: str) -> str:
    spec, name = pod["spec"], pod["metadata"]["name"]
    kinds = ("containers", "initContainers", "ephemeralContainers")
    if wanted:
        if not any(container["name"] == wanted for kind in kinds for container in spec.get(kind, [])):
            raise bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    names = [str(container["name"]) for container in spec["containers"]]
    if len(names) > 1:
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")
    return names[0]


def _with_query(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urllib.parse.urlencode(query)}" if query else path


def _connect(node: str, get: Get) -> ssl.SSLSocket:
    """Without a look at the certificate, as an API server does that is not told of a CA for kubelets."""
    status = _object(get, f"/api/v1/nodes/{node}").get("status", {})
    addresses = [address["address"] for address in status.get("addresses", []) if address["type"] == "InternalIP"]
    port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port", 0)
    if not addresses or not port:
        raise ApiError(503, f"the node {node} has told no address of its kubelet")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        plain = socket.create_connection((addresses[0], port), _CONNECT_SECONDS)
        try:
            return context.wrap_socket(plain)
        except OSError:
            plain.close()
            raise
    except OSError as error:
        raise ApiError(500, f"the kubelet of node {node} cannot be reached: {error}") from None


def _pieces(kubelet: ssl.SSLSocket, client: socket.socket) -> Iterator[bytes]:
    """The answer, until its end. A client that sends something or closes does not want the rest; the stop of this
    server closes it too.
    """
    kubelet.setblocking(False)
    while True:
        if not kubelet.pending():
            readable, _, _ = select.select([kubelet, client], [], [])
            if client in readable:
                return
        try:
            piece = kubelet.recv(_PIECE_BYTES)
        except ssl.SSLWantReadError:
            continue  # what came was not a whole record, or no part of the answer
        if not piece:
            return
        yield piece


def _status(start: bytes) -> int:
    """Of an answer that starts so; 0 when it does not start like one."""
    words = start.split(b" ", 2)
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else 0


def _refusal(answer: bytes) -> ApiError:
    response = http.client.HTTPResponse(_Received(answer))  # type: ignore[arg-type]  # it only makes a file of it
    response.begin()
    return ApiError(response.status, response.read().decode())


class _Received:
    """Bytes that were received already, as `http.client` wants to read them."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)
