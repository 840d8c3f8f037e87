from __future__ import annotations

import base64
import datetime
import logging
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.kubelet_api import requested_certificate
from virtual_kubelet_salad.kubelet_api.certificates import KeyPair, self_signed, tls_context
from virtual_kubelet_salad.kubelet_api.requested_certificate import RequestedCertificate

COLLECTION = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
HOSTS = ("node", "192.0.2.7")
LIFE = datetime.timedelta(days=10)


class Requests:
    """An API server with certificate requests, and somebody who decides about them."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked = 0
        self.refuse: ApiAnswer | Exception | None = None
        self._key = ec.generate_private_key(ec.SECP256R1())

    def request(self, method: str, path: str, *, body: Any = None, **other: Any) -> ApiAnswer:
        self.asked += 1
        if isinstance(self.refuse, Exception):
            raise self.refuse
        if self.refuse is not None:
            return self.refuse
        if method == "POST":
            assert path == COLLECTION
            name = f"{body['metadata']['generateName']}{len(self.objects)}"
            self.objects[name] = {**body, "metadata": {"name": name}, "status": {}}
            return ApiAnswer(201, self.objects[name])
        found = self.objects.get(path.removeprefix(f"{COLLECTION}/"))
        return ApiAnswer(200, found) if found else ApiAnswer(404, {"kind": "Status", "message": "not found"})

    @property
    def latest(self) -> dict[str, Any]:
        return list(self.objects.values())[-1]

    def csr(self) -> x509.CertificateSigningRequest:
        return x509.load_pem_x509_csr(base64.b64decode(self.latest["spec"]["request"]))

    def issue(self, key: ec.EllipticCurvePublicKey | None = None) -> None:
        csr = self.csr()
        public_key = key or csr.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster-ca")]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.clock.now())
            .not_valid_after(self.clock.now() + LIFE)
            .sign(self._key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.latest["status"] = {
            "conditions": [{"type": "Approved", "status": "True"}],
            "certificate": base64.b64encode(pem).decode(),
        }

    def decide(self, kind: str) -> None:
        self.latest["status"] = {"conditions": [{"type": kind, "status": "True", "message": "not this one"}]}


class World:
    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.requests = Requests(clock)
        self.own = self_signed("node", HOSTS, clock.now())
        self.is_active = True
        self.told: list[tuple[str, str]] = []
        self.certificate = RequestedCertificate(
            ApiServer(self.requests, clock=clock), clock, "node", HOSTS, self.own, lambda: self.is_active
        )
        self.certificate.tell = lambda kind, reason, message: self.told.append((reason, message))

    def look(self, seconds: float = 10.0) -> KeyPair:
        self.clock.advance(seconds)
        return self.certificate.current()

    def issued(self) -> KeyPair:
        self.look()
        self.requests.issue()
        return self.look()


@pytest.fixture
def world(fake_clock: FakeClock) -> World:
    return World(fake_clock)


def test_the_request_is_one_that_the_signer_of_kubelets_accepts(world: World) -> None:
    assert world.look() is world.own
    spec, csr = world.requests.latest["spec"], world.requests.csr()
    assert spec["signerName"] == "kubernetes.io/kubelet-serving"
    assert spec["usages"] == ["digital signature", "server auth"]
    assert csr.subject.rfc4514_string() == "CN=system:node:node,O=system:nodes"
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    assert csr.is_signature_valid


def test_until_it_is_approved_our_own_serves_and_that_is_said_now_and_then(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(60):
            assert world.look() is world.own
    assert len(world.requests.objects) == 1
    assert [reason for reason, _ in world.told] == ["CertificateWaits"]
    assert "kubectl certificate approve node-0" in world.told[0][1]
    assert "kubectl certificate approve node-0" in caplog.text
    world.look(requested_certificate.REMIND_SECONDS)
    assert len(world.told) == 2


def test_what_was_issued_serves_with_its_key(world: World) -> None:
    pair = world.issued()
    assert pair is not world.own
    tls_context(pair, None)  # certificate and key belong together
    assert world.look() is pair
    asked = world.requests.asked
    world.look(3_600.0)
    assert world.requests.asked == asked


def test_it_is_renewed_in_time_and_the_old_one_serves_meanwhile(world: World) -> None:
    first = world.issued()
    world.look(LIFE.total_seconds() * requested_certificate.RENEW_AFTER - 60.0)
    assert len(world.requests.objects) == 1
    assert world.look(60.0) is first
    assert len(world.requests.objects) == 2
    world.requests.issue()
    second = world.look()
    assert second is not first and second.key != first.key
    world.look(LIFE.total_seconds() * requested_certificate.RENEW_AFTER)
    assert len(world.requests.objects) == 3


@pytest.mark.parametrize("kind", ["Denied", "Failed"])
def test_a_refusal_is_told_and_asked_again_after_a_while(world: World, kind: str) -> None:
    world.look()
    world.requests.decide(kind)
    assert world.look() is world.own
    assert world.told[-1][0] == "CertificateNotIssued" and "not this one" in world.told[-1][1]
    world.look(requested_certificate.RETRY_SECONDS - 20.0)
    assert len(world.requests.objects) == 1
    world.look(20.0)
    assert len(world.requests.objects) == 2


def test_a_request_that_is_gone_is_made_again(world: World) -> None:
    world.look()
    gone = dict(world.requests.objects)
    world.requests.objects.clear()
    world.look()
    world.requests.objects.update(gone)
    world.look(requested_certificate.RETRY_SECONDS)
    assert len(world.requests.objects) == 2


@pytest.mark.parametrize("certificate", ["!", base64.b64encode(b"no PEM").decode()])
def test_a_certificate_that_is_none_is_not_taken(world: World, certificate: str) -> None:
    world.look()
    world.requests.latest["status"] = {"certificate": certificate}
    assert world.look() is world.own
    assert world.told[-1][0] == "CertificateNotIssued"


def test_a_certificate_for_another_key_is_not_taken(world: World) -> None:
    world.look()
    world.requests.issue(ec.generate_private_key(ec.SECP256R1()).public_key())
    assert world.look() is world.own
    assert "not for our key" in world.told[-1][1]


def test_a_standby_asks_for_nothing(world: World) -> None:
    world.is_active = False
    assert world.look() is world.own
    assert world.requests.asked == 0


def test_a_missing_right_is_an_error_and_not_asked_for_at_every_look(world: World) -> None:
    world.requests.refuse = ApiAnswer(403, {"kind": "Status", "message": "may not create"})
    with pytest.raises(errors.Forbidden):
        world.look()
    for _ in range(5):
        assert world.look() is world.own
    assert world.requests.asked == 1
    with pytest.raises(errors.Forbidden):
        world.look()


def test_could_not_ask_leaves_everything_as_it_is(world: World) -> None:
    world.look()
    world.requests.refuse = errors.CouldNotAsk("down")
    with pytest.raises(errors.CouldNotAsk):
        world.look()
    world.requests.refuse = None
    world.requests.issue()
    assert world.look() is not world.own
