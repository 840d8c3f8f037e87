"""Serving certificates: made by ourselves, or read from files. In memory a certificate is a pair of PEM texts.

The private key of a certificate of our own never touches a disk. Source of the subject's form: what the API server's
signer for kubelets asks for.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import pathlib
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Nobody can check a certificate that signs itself, so nothing is gained by an early end.
SELF_SIGNED_LIFE = datetime.timedelta(days=3650)
# Clocks of those who look at it differ.
BACKDATED = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate (with its chain) and its private key, as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


def self_signed(node_name: str, hosts: Sequence[str], now: datetime.datetime) -> KeyPair:
    """For the time of this process; `hosts` are names and IP addresses by which the node is reached."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{node_name}@{int(now.timestamp())}"[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + SELF_SIGNED_LIFE)
        .add_extension(x509.SubjectAlternativeName(alternative_names(hosts)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), key_pem(key))


def alternative_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """Each as an IP address if it is one, else as a DNS name."""
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_files(certificate: pathlib.Path, key: pathlib.Path) -> KeyPair:
    """Raises OSError."""
    return KeyPair(certificate.read_bytes(), key.read_bytes())


def tls_context(pair: KeyPair, client_ca: str | None) -> ssl.SSLContext:
    """For one generation of connections. A client may show a certificate; one that `client_ca` (PEM) did not sign ends
    the handshake, because the TLS library either verifies a certificate or does not ask for it.

    Raises ValueError when the pair or the CA cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Every connection proves anew who it is.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    try:
        with _as_file(pair.certificate) as certificate, _as_file(pair.key) as key:
            # A key that is locked is an error, not a question on the terminal.
            context.load_cert_chain(certificate, key, password=lambda: b"")
        if client_ca is not None:
            context.load_verify_locations(cadata=client_ca)
            # The CA of a cluster may itself be signed by another.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.verify_mode = ssl.CERT_OPTIONAL
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "it is no PEM"
        raise ValueError(f"the certificate cannot be used: {reason}") from None
    return context


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path under which the TLS library, which reads nothing but files, finds the content; in memory where the system
    can do that.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("virtual-kubelet-salad", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
