"""Keeps the port's TLS settings up to date: serving certificate and the CA of client certificates.

`context` is asked for each new connection. `step` looks whether something has changed and builds new settings then;
what cannot be used is reported and the old is kept. One thread calls `step`.
"""

from __future__ import annotations

import logging
import pathlib
import ssl
from collections.abc import Callable
from typing import Protocol

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kubelet_api.certificates import KeyPair, read_files, tls_context
from virtual_kubelet_salad.runtime.clock import Clock

log = logging.getLogger(__name__)

STEP_SECONDS = 10.0
# The CA changes when somebody rotates it, for which Kubernetes recommends days.
CLIENT_CA_SECONDS = 60.0
CLIENT_CA_NAMESPACE, CLIENT_CA_NAME, CLIENT_CA_KEY = (
    "kube-system",
    "extension-apiserver-authentication",
    "client-ca-file",
)


class ServingCertificate(Protocol):
    """Where the serving certificate comes from."""

    def current(self) -> KeyPair:
        """The pair to be used now; the same object as long as it has not changed. Raises `errors.Error`."""
        ...


class FixedCertificate:
    """One pair for the life of the process."""

    def __init__(self, pair: KeyPair) -> None:
        self._pair = pair

    def current(self) -> KeyPair:
        return self._pair


class CertificateFiles:
    """Two PEM files that somebody else may replace."""

    def __init__(self, certificate: pathlib.Path, key: pathlib.Path) -> None:
        self._paths = (certificate, key)
        self._pair: KeyPair | None = None

    def current(self) -> KeyPair:
        try:
            pair = read_files(*self._paths)
        except OSError as error:
            raise errors.Error(f"--tls-cert-file or --tls-private-key-file cannot be read: {error.strerror}") from None
        if pair != self._pair:
            self._pair = pair
        assert self._pair is not None
        return self._pair


class TlsSettings:
    """The settings of the port. Raises `errors.Error` from the constructor when the first certificate is unusable."""

    def __init__(self, certificate: ServingCertificate, client_ca: Callable[[], str | None], clock: Clock) -> None:
        """`client_ca` asks for the CA of client certificates and may raise `errors.Error`; None: there is none."""
        self._certificate = certificate
        self._ask_for_client_ca = client_ca
        self._clock = clock
        self._pair = certificate.current()
        self._client_ca: str | None = None
        self._client_ca_due = clock.monotonic()
        self._complaint = ""
        try:
            self._context = tls_context(self._pair, None)
        except ValueError as error:
            raise errors.Error(str(error)) from None

    def context(self) -> ssl.SSLContext:
        """For the next connection. From any thread."""
        return self._context

    def step(self) -> float:
        """Looks for changes; seconds until the next look."""
        pair, client_ca = self._newest_pair(), self._newest_client_ca()
        if pair is not self._pair or client_ca != self._client_ca:
            try:
                self._context = tls_context(pair, client_ca)
            except ValueError as error:
                self._complain(str(error))
            else:
                log.info("TLS settings renewed client_certificates=%s", "accepted" if client_ca else "not accepted")
                self._pair, self._client_ca, self._complaint = pair, client_ca, ""
        return STEP_SECONDS

    def _newest_pair(self) -> KeyPair:
        try:
            return self._certificate.current()
        except errors.Error as error:
            self._complain(str(error))
            return self._pair

    def _newest_client_ca(self) -> str | None:
        if self._clock.monotonic() < self._client_ca_due:
            return self._client_ca
        try:
            newest = self._ask_for_client_ca()
        except errors.Error as error:
            self._complain(f"the CA of client certificates is not known: {error}")
            return self._client_ca
        self._client_ca_due = self._clock.monotonic() + CLIENT_CA_SECONDS
        return newest

    def _complain(self, text: str) -> None:
        """Once for each trouble, not every ten seconds."""
        if text != self._complaint:
            self._complaint = text
            log.warning("kubelet API: %s", text)


def cluster_client_ca(api: ApiServer) -> str | None:
    """The CA that the API server's own client certificate is signed with. The requestheader CA beside it is for servers
    behind the aggregator; a kubelet must not believe it. Raises `errors.Error`.
    """
    found = api.get_config_map(CLIENT_CA_NAMESPACE, CLIENT_CA_NAME)
    pem = (found.get("data") or {}).get(CLIENT_CA_KEY)
    return pem if isinstance(pem, str) and pem.strip() else None
