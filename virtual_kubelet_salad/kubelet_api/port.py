"""Puts the kubelet's port together: certificates, server, rights and routes, and the thread that keeps them up.

Starts answering before there are pods to speak of (503), because the Node tells the port's number. Its questions about
rights go over a connection of their own, so that strangers who knock cannot keep a worker waiting.
"""

from __future__ import annotations

import functools
import logging
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.provider import Provider
from virtual_kubelet_salad.kubelet_api import pod_lists, resource_metrics
from virtual_kubelet_salad.kubelet_api.application import KubeletApp, Observer
from virtual_kubelet_salad.kubelet_api.certificates import self_signed
from virtual_kubelet_salad.kubelet_api.container_logs import ContainerLogs
from virtual_kubelet_salad.kubelet_api.identity import Authenticator
from virtual_kubelet_salad.kubelet_api.measurements import Measurements
from virtual_kubelet_salad.kubelet_api.requested_certificate import RequestedCertificate, Tell
from virtual_kubelet_salad.kubelet_api.rights import Authorizer
from virtual_kubelet_salad.kubelet_api.server import KubeletServer
from virtual_kubelet_salad.kubelet_api.tls import (
    CertificateFiles,
    FixedCertificate,
    ServingCertificate,
    TlsSettings,
    cluster_client_ca,
)
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.threads import Loop

log = logging.getLogger(__name__)

# How long a connection may be over its time before it is cut.
SWEEP_SECONDS = 1.0
SWEEP_BOUND_SECONDS = 30.0
TLS_BOUND_SECONDS = 60.0
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PortSettings:
    """What the operator decides."""

    node_name: str
    node_address: str
    number: int
    """0: any free one."""
    certificate_file: str | None = None
    key_file: str | None = None
    is_rotating: bool = False
    """The certificate comes from the cluster."""


class KubeletPort:
    """The port of one node."""

    def __init__(self, settings: PortSettings, api: ApiServer, clock: Clock) -> None:
        """Raises `errors.Error` when the certificate cannot be used."""
        self._settings = settings
        self._api = api
        self._clock = clock
        self._is_stopping = False
        self._logs: ContainerLogs | None = None
        self._is_active: Callable[[], bool] = lambda: False
        self._requested: RequestedCertificate | None = None
        self._tls = TlsSettings(self._certificate(), lambda: cluster_client_ca(api), clock)
        host = "::" if ":" in settings.node_address else "0.0.0.0"
        self._server = KubeletServer(host, settings.number, self._tls.context, clock)

    @property
    def number(self) -> int:
        """What the Node announces; known after `start`."""
        return self._server.port

    def start(self) -> None:
        """Raises `errors.Error` when the port cannot be listened on."""
        try:
            self._server.start()
        except OSError as error:
            raise errors.Error(f"--kubelet-port cannot be listened on: {error.strerror or error}") from None
        log.info("kubelet API served port=%d", self.number)

    def serve(
        self,
        cache: PodCache,
        provider: Provider,
        claims: Claims,
        *,
        is_active: Callable[[], bool],
        late_threads: Callable[[], Sequence[str]],
        own_metrics: Callable[[], bytes],
        observe: Observer,
        tell: Tell,
    ) -> None:
        """Answers for these pods from now on. `own_metrics` is an exposition of the daemon's own; `tell` makes an Event
        of the node.
        """
        self._is_active = is_active
        if self._requested is not None:
            self._requested.tell = tell
        logs = self._logs = ContainerLogs(
            cache, provider, claims, self._clock, lambda: self._is_stopping, self._api.get_pod
        )
        app = KubeletApp(
            authenticator=Authenticator(self._api, self._clock),
            authorizer=Authorizer(self._api, self._clock, self._settings.node_name),
            cache=cache,
            logs=logs,
            measurements=Measurements(cache, provider, claims, self._clock),
            own_metrics=own_metrics,
            summary=functools.partial(resource_metrics.summary, self._settings.node_name, self._clock.now()),
            is_active=is_active,
            late_threads=late_threads,
            configuration=lambda: pod_lists.configuration(port=self.number, is_rotating=self._settings.is_rotating),
            observe=observe,
        )
        self._server.serve(app)

    def loops(self) -> tuple[Loop, ...]:
        """The threads beside those of the server."""
        return (
            Loop("kubelet connections", self._sweep, bound_seconds=SWEEP_BOUND_SECONDS),
            Loop("kubelet tls", self._tls.step, bound_seconds=TLS_BOUND_SECONDS),
        )

    def log_readers(self) -> int:
        """How many logs are being read."""
        return self._logs.readers if self._logs is not None else 0

    def begin_stop(self) -> None:
        """Cuts all connections; who answers a question ends within a second."""
        self._is_stopping = True
        self._server.connections.close()

    def stop(self) -> None:
        """Ends the server's threads. Also when it was never started."""
        self.begin_stop()
        if not self._server.stop(STOP_SECONDS):
            log.warning("a question to the kubelet API hangs and is left behind")

    def _sweep(self) -> float:
        self._server.connections.sweep()
        if self._logs is not None:
            self._logs.abandon_unread()
        return SWEEP_SECONDS

    def _certificate(self) -> ServingCertificate:
        settings = self._settings
        if settings.certificate_file is not None and settings.key_file is not None:
            return CertificateFiles(pathlib.Path(settings.certificate_file), pathlib.Path(settings.key_file))
        hosts = (settings.node_name, settings.node_address)
        own = self_signed(settings.node_name, hosts, self._clock.now())
        if not settings.is_rotating:
            return FixedCertificate(own)
        self._requested = RequestedCertificate(
            self._api, self._clock, settings.node_name, hosts, own, lambda: self._is_active()
        )
        return self._requested
