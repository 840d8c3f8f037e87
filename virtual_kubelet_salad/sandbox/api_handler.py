"""One connection to the API server's face: reads requests, asks the model, writes answers and watch streams.

Runs on a thread of its own per connection. HTTP/1.1 with keep-alive; every answer is one send.
"""

from __future__ import annotations

import http.client
import http.server
import json
import logging
import socket
import urllib.parse
from collections.abc import Mapping
from typing import Any, Protocol

from virtual_kubelet_salad.sandbox.api_errors import ApiError, Json, bad_request
from virtual_kubelet_salad.sandbox.api_faults import Fault, Faults, fault_from_json
from virtual_kubelet_salad.sandbox.api_node_proxy import is_for_a_kubelet, relay
from virtual_kubelet_salad.sandbox.api_resources import parse_path
from virtual_kubelet_salad.sandbox.api_tables import as_table
from virtual_kubelet_salad.sandbox.api_watch import WatchHost, encode_event, error_event, run_watch

_LOG = logging.getLogger(__name__)

_PROBES = ("/healthz", "/readyz", "/livez")
_CONTROL = "/__control__/"
_PROTOBUF = "application/vnd.kubernetes.protobuf"
_HTML = b"<html><head><title>%d</title></head><body><h1>Bad gateway</h1></body></html>"
_GARBAGE = b'{"kind": "PodList", "items": [{]\n\x00\xff'


class Face(WatchHost, Protocol):
    """The server as its connections see it."""

    faults: Faults

    def serve(
        self, method: str, path: str, query: Mapping[str, str], body: object, content_type: str | None
    ) -> tuple[int, Json]: ...

    def connection_opened(self, connection: socket.socket) -> None: ...

    def connection_closed(self, connection: socket.socket) -> None: ...

    def count_request(self, method: str, path: str, is_watch: bool) -> None: ...

    def wait_for_stop(self) -> None: ...

    def statistics(self) -> Json: ...

    def compact(self) -> None: ...

    def end_watches(self) -> None: ...


class Handler(http.server.BaseHTTPRequestHandler):
    """The requests of one connection; `face` is set by the server's subclass."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    face: Face

    def log_message(self, format: str, *args: Any) -> None:
        _LOG.debug(format, *args)

    def setup(self) -> None:
        super().setup()
        self.face.connection_opened(self.connection)

    def finish(self) -> None:
        self.face.connection_closed(self.connection)
        try:
            super().finish()
        except OSError:
            _LOG.debug("connection ended before its last bytes were sent")

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            _LOG.debug("connection ended by the other side")

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        if url.path in _PROBES:
            self._send(200, b"ok", "text/plain; charset=utf-8")
            return
        if url.path.startswith(_CONTROL):
            self._control(url.path.removeprefix(_CONTROL), raw)
            return
        is_watch = self.command == "GET" and query.get("watch") in ("true", "1")
        self.face.count_request(self.command, url.path, is_watch)
        fault = self.face.faults.take(self.command, url.path, is_watch)
        if fault is not None and not self._survives(fault, raw):
            return
        try:
            if is_watch:
                self._watch(url.path, query, fault)
            elif is_for_a_kubelet(url.path):
                self._pass_on(url.path, query)
            else:
                self._serve(url.path, query, raw, fault)
        except ApiError as error:
            self._send_json(error.code, error.status())

    def _survives(self, fault: Fault, raw: bytes) -> bool:
        """Do what the fault says; True when the request is to be served all the same."""
        if fault.kind == "status":
            error = ApiError(fault.code, "a fault was asked for")
            headers = {} if fault.retry_after_seconds is None else {"Retry-After": str(fault.retry_after_seconds)}
            self._send_json(fault.code, error.status(), headers)
        elif fault.kind == "repeat":
            self._send_json(fault.code, ApiError(fault.code, f"Invalid value: {raw.decode()}").status())
        elif fault.kind == "answer":
            self._send_json(200, fault.body)
        elif fault.kind == "hang":
            self.face.wait_for_stop()
            self.close_connection = True
        elif fault.kind == "close":
            self.close_connection = True
        elif fault.kind == "html":
            self._send(fault.code, _HTML % fault.code, "text/html")
        elif fault.kind == "garbage":
            self._send(200, _GARBAGE, "application/json")
        else:
            return True
        return False

    # Plain requests

    def _serve(self, path: str, query: Mapping[str, str], raw: bytes, fault: Fault | None) -> None:
        body: object = None
        content_type = self.headers.get("Content-Type")
        if raw and content_type == _PROTOBUF:
            raise ApiError(415, "this API server reads JSON only; write a manifest and use `kubectl apply -f`")
        if raw:
            try:
                body = json.loads(raw)
            except ValueError:
                raise bad_request("the body of the request is not JSON") from None
        status, answer = self.face.serve(self.command, path, query, body, content_type)
        if fault is not None and fault.kind == "close_after":
            self.close_connection = True
            return
        if self.command == "GET" and status == 200 and self._wants_table():
            answer = self._table(path, query, answer)
        self._send_json(status, answer)

    def _pass_on(self, path: str, query: Mapping[str, str]) -> None:
        def get(wanted: str) -> tuple[int, Json]:
            return self.face.serve("GET", wanted, {}, None, None)

        self.close_connection = True
        relay(self.command, path, query, get, self.connection)

    def _wants_table(self) -> bool:
        return "as=Table" in self.headers.get("Accept", "")

    def _table(self, path: str, query: Mapping[str, str], answer: Json) -> Json:
        target = parse_path(path)
        if target is None:
            return answer
        include, now = query.get("includeObject", ""), self.face.clock.now()
        if target.name:
            metadata = {"resourceVersion": answer["metadata"]["resourceVersion"]}
            return as_table(target.resource, [answer], metadata, now, include)
        return as_table(target.resource, answer["items"], answer["metadata"], now, include)

    # Watches

    def _watch(self, path: str, query: Mapping[str, str], fault: Fault | None) -> None:
        is_open = False
        target = parse_path(path)
        wants_table = self._wants_table()
        has_columns = False

        def send(lines: list[bytes]) -> None:
            nonlocal is_open
            data = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)
            if not is_open:
                is_open = True
                data = self._head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}) + data
            if data:
                self.wfile.write(data)
                self.wfile.flush()

        def shape(event: Json) -> Json:
            nonlocal has_columns
            if not wants_table or target is None or event["type"] == "ERROR":
                return event
            item = event["object"]
            metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
            rows = [] if event["type"] == "BOOKMARK" else [item]
            include, now = query.get("includeObject", ""), self.face.clock.now()
            table = as_table(target.resource, rows, metadata, now, include, with_columns=not has_columns)
            has_columns = True
            return {"type": event["type"], "object": table}

        if fault is not None and fault.kind == "end_watch":
            send([])
        elif fault is not None and fault.kind == "gone_event":
            send([encode_event(error_event(ApiError(410, "too old resource version: a fault was asked for")))])
        else:
            run_watch(self.face, path, query, send, shape, self._is_client_gone)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _is_client_gone(self) -> bool:
        try:
            ahead: bytes = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return ahead == b""
        except BlockingIOError:
            return False

    # Answers

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _send_json(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(body, separators=(",", ":")).encode(), "application/json", headers)

    def _send(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        fields = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
        self.wfile.write(self._head(status, fields) + body)
        self.wfile.flush()

    # Control

    def _control(self, name: str, raw: bytes) -> None:
        try:
            self._send_json(200, self._carry_out(name, json.loads(raw) if raw else {}))
        except ValueError as error:
            self._send_json(400, bad_request(str(error)).status())

    def _carry_out(self, name: str, body: dict[str, Any]) -> Json:
        if name == "statistics":
            return self.face.statistics()
        if self.command != "POST":
            raise ValueError("control routes other than statistics take POST")
        if name == "fault":
            self.face.faults.add(fault_from_json(body))
        elif name == "clear":
            self.face.faults.clear()
        elif name == "compact":
            self.face.compact()
        elif name == "end-watches":
            self.face.end_watches()
        else:
            raise ValueError("control routes: statistics, fault, clear, compact, end-watches")
        return {}
