from __future__ import annotations

import datetime
import pathlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.support.tls import client_context, shake_hands
from virtual_kubelet_salad.kubelet_api.certificates import KeyPair, read_files, self_signed, tls_context
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox import pki

NOW = SystemClock().now()
HOSTS = ("saladcloud-node", "192.0.2.7", "fd00::7")
OWN = self_signed("saladcloud-node", HOSTS, NOW)
LOCKED_KEY = serialization.load_pem_private_key(OWN.key, None).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> pki.CertificateAuthority:
    return pki.CertificateAuthority(tmp_path_factory.mktemp("ca"), "cluster-ca", NOW)


def client_of(pair: pki.KeyPair) -> ssl.SSLContext:
    return client_context((pair.certificate, pair.key))


def ca_of(authority: pki.CertificateAuthority) -> str:
    return authority.own.certificate.read_text()


def test_our_own_certificate_names_the_node_and_its_address() -> None:
    certificate = x509.load_pem_x509_certificate(OWN.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["saladcloud-node"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "fd00::7"]
    assert certificate.not_valid_before_utc <= NOW <= certificate.not_valid_after_utc


def test_the_key_is_not_in_the_repr() -> None:
    assert "PRIVATE" not in repr(OWN)
    assert OWN.key.decode() not in repr(OWN)


def test_who_shows_no_certificate_is_let_in_and_nobody() -> None:
    seen, shown = shake_hands(tls_context(OWN, None), client_context())
    assert not seen
    assert shown == ssl.PEM_cert_to_DER_cert(OWN.certificate.decode())


def test_a_client_certificate_of_the_clusters_ca_is_seen(
    authority: pki.CertificateAuthority, tmp_path: pathlib.Path
) -> None:
    client = client_of(authority.client("client", "ada", "devs"))
    seen, _ = shake_hands(tls_context(OWN, ca_of(authority)), client)
    assert seen is not None
    assert seen["subject"] == ((("organizationName", "devs"),), (("commonName", "ada"),))
    assert not shake_hands(tls_context(OWN, ca_of(authority)), client_context())[0]


def test_a_certificate_of_another_ca_ends_the_handshake(
    authority: pki.CertificateAuthority, tmp_path: pathlib.Path
) -> None:
    other = pki.CertificateAuthority(tmp_path, "cluster-ca", NOW)
    with pytest.raises(ssl.SSLError):
        shake_hands(tls_context(OWN, ca_of(authority)), client_of(other.client("client", "ada")))


def test_a_servers_certificate_is_none_for_a_client(authority: pki.CertificateAuthority) -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(tls_context(OWN, ca_of(authority)), client_of(authority.serving("serving", ["ada"])))


def test_a_certificate_that_is_over_ends_the_handshake(tmp_path: pathlib.Path) -> None:
    old = pki.CertificateAuthority(tmp_path, "cluster-ca", NOW - datetime.timedelta(days=30))
    with pytest.raises(ssl.SSLError):
        shake_hands(tls_context(OWN, ca_of(old)), client_of(old.client("client", "ada")))


def test_old_versions_of_tls_are_refused() -> None:
    client = client_context()
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake_hands(tls_context(OWN, None), client)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_present_versions_of_tls_are_spoken(version: ssl.TLSVersion) -> None:
    client = client_context()
    client.minimum_version = client.maximum_version = version
    shake_hands(tls_context(OWN, None), client)


def test_files_are_served_as_they_are(authority: pki.CertificateAuthority) -> None:
    issued = authority.serving("files", ["saladcloud-node"])
    pair = read_files(issued.certificate, issued.key)
    _, shown = shake_hands(tls_context(pair, None), client_context())
    assert shown == ssl.PEM_cert_to_DER_cert(issued.certificate.read_text())


@pytest.mark.parametrize(
    "pair",
    [
        KeyPair(b"", b""),
        KeyPair(OWN.certificate, b""),
        KeyPair(OWN.certificate, self_signed("other", HOSTS, NOW).key),
        KeyPair(b"no PEM", OWN.key),
        KeyPair(OWN.certificate, LOCKED_KEY),
    ],
)
def test_a_pair_that_is_none_is_refused_without_quoting_it(pair: KeyPair) -> None:
    with pytest.raises(ValueError, match="the certificate cannot be used") as refused:
        tls_context(pair, None)
    assert "BEGIN" not in str(refused.value)


def test_a_ca_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="the certificate cannot be used"):
        tls_context(OWN, "no PEM")
