"""Gets the serving certificate from the cluster: asks for it, waits until somebody approves, and renews it in time.

Until it has been issued, and while a new one is waited for, the one before serves; the first is our own. The key stays
in memory, so that every start of the process asks anew. One thread calls `current`, about every ten seconds. Sources:
the API's signer `kubernetes.io/kubelet-serving` and the kubelet's own rotation.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kubelet_api.certificates import KeyPair, alternative_names, key_pem
from virtual_kubelet_salad.runtime.clock import Clock

log = logging.getLogger(__name__)

SIGNER = "kubernetes.io/kubelet-serving"
# Part of its life after which a certificate is renewed, as by a kubelet; the rest is for whoever approves.
RENEW_AFTER = 0.8
# Who denied a request, or could not sign it, is not asked again at once.
RETRY_SECONDS = 900.0
# Each time an answer is lost, a request may stay behind.
PAUSE_SECONDS = 60.0
REMIND_SECONDS = 3600.0

Tell = Callable[[str, str, str], None]
"""Tells whoever looks at the node: type, reason and message of an Event."""


@dataclass(frozen=True, slots=True)
class _Request:
    """One that was sent."""

    name: str
    key: ec.EllipticCurvePrivateKey


class RequestedCertificate:
    """Implements `tls.ServingCertificate`."""

    def __init__(
        self,
        api: ApiServer,
        clock: Clock,
        node_name: str,
        hosts: Sequence[str],
        own: KeyPair,
        is_active: Callable[[], bool],
    ) -> None:
        """`own` serves until the first one is issued. `is_active`: whether this replica is the node, and may ask."""
        self._api = api
        self._clock = clock
        self._node_name = node_name
        self._hosts = hosts
        self._pair = own
        self._is_active = is_active
        self._renew_at: datetime.datetime | None = None
        self._request: _Request | None = None
        self._not_before = clock.monotonic()
        self._remind_at = 0.0
        self.tell: Tell = lambda kind, reason, message: None

    def current(self) -> KeyPair:
        """See `ServingCertificate.current`; asks the API server where something is to be asked."""
        if self._is_active() and self._clock.monotonic() >= self._not_before:
            if self._request is not None:
                self._look(self._request)
            elif self._renew_at is None or self._clock.now() >= self._renew_at:
                self._ask()
        return self._pair

    def _ask(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._not_before = self._clock.monotonic() + PAUSE_SECONDS  # unless it is accepted
        created = self._api.create_certificate_signing_request(self._body(key))
        name = str((created.get("metadata") or {}).get("name", ""))
        self._not_before = self._remind_at = self._clock.monotonic()
        self._request = _Request(name, key)
        log.info("certificate requested name=%s", name)

    def _body(self, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{self._node_name}"),
            ]
        )
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(subject)
            .add_extension(x509.SubjectAlternativeName(alternative_names(self._hosts)), critical=False)
            .sign(key, hashes.SHA256())
        )
        return {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"generateName": f"{self._node_name}-"},
            "spec": {
                "signerName": SIGNER,
                "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
                "usages": ["digital signature", "server auth"],
            },
        }

    def _look(self, request: _Request) -> None:
        try:
            found = self._api.get_certificate_signing_request(request.name)
        except errors.NotFound:
            # Kubernetes deletes old ones.
            self._give_up(f"the request {request.name} is gone")
            return
        status: Mapping[str, Any] = found.get("status") or {}
        conditions = {each.get("type"): each for each in status.get("conditions") or []}
        for kind in ("Denied", "Failed"):
            if kind in conditions:
                self._give_up(f"the request {request.name} was answered: {kind} {conditions[kind].get('message', '')}")
                return
        if status.get("certificate"):
            self._take(request, str(status["certificate"]))
        elif "Approved" not in conditions and self._clock.monotonic() >= self._remind_at:
            self._remind_at = self._clock.monotonic() + REMIND_SECONDS
            self._say("Normal", "CertificateWaits", f"waits for approval: kubectl certificate approve {request.name}")

    def _take(self, request: _Request, encoded: str) -> None:
        try:
            pem = base64.b64decode(encoded, validate=True)
            certificate = x509.load_pem_x509_certificate(pem)
        except (binascii.Error, ValueError):
            self._give_up(f"the certificate of {request.name} cannot be read")
            return
        if certificate.public_key() != request.key.public_key():
            self._give_up(f"the certificate of {request.name} is not for our key")
            return
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        self._pair = KeyPair(pem, key_pem(request.key))
        self._renew_at = begin + (end - begin) * RENEW_AFTER
        self._request = None
        log.info("certificate issued name=%s until=%s renewed_at=%s", request.name, end, self._renew_at)

    def _give_up(self, why: str) -> None:
        self._request = None
        self._not_before = self._clock.monotonic() + RETRY_SECONDS
        self._say("Warning", "CertificateNotIssued", f"{why.strip()}; asked again in {RETRY_SECONDS / 60:.0f} min")

    def _say(self, kind: str, reason: str, message: str) -> None:
        log.warning("serving certificate: %s", message)
        self.tell(kind, reason, f"The serving certificate of the node: {message}")
