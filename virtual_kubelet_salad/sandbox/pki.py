"""A certificate authority for a control plane on loopback: one CA, serving and client certificates, as PEM files in
one directory.
"""

from __future__ import annotations

import datetime
import ipaddress
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_FOR = datetime.timedelta(days=2)  # longer than any run, too short to be of use to anyone
CLOCK_DIFFERENCE = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class KeyPair:
    """Two PEM files."""

    certificate: pathlib.Path
    key: pathlib.Path


class CertificateAuthority:
    """Issues certificates into `directory`; its own certificate is `.own.certificate`."""

    def __init__(self, directory: pathlib.Path, common_name: str, now: datetime.datetime) -> None:
        """`now` is when everything it issues begins to be valid, a few minutes back."""
        self._directory = directory
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(common_name)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        certificate = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.own = self._write("ca", certificate, self._key)

    def serving(self, file_name: str, hosts: Sequence[str]) -> KeyPair:
        """A certificate for a server that is reached as any of `hosts` (names or IP addresses)."""
        names: list[x509.GeneralName] = [_general_name(host) for host in hosts]
        return self._issue(file_name, _name(file_name), ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, file_name: str, user: str, group: str | None = None) -> KeyPair:
        """A certificate that Kubernetes reads as `user`, a member of `group`."""
        return self._issue(file_name, _name(user, group), ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def _issue(
        self, file_name: str, subject: x509.Name, purpose: x509.ObjectIdentifier, names: list[x509.GeneralName]
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, key.public_key()).add_extension(
            x509.ExtendedKeyUsage([purpose]), critical=False
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return self._write(file_name, builder.sign(self._key, hashes.SHA256()), key)

    def _builder(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(self._now - CLOCK_DIFFERENCE).not_valid_after(self._now + VALID_FOR)

    def _write(self, file_name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
        pair = KeyPair(self._directory / f"{file_name}.crt", self._directory / f"{file_name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        _write_key(pair.key, key)
        return pair


def write_signing_key(path: pathlib.Path) -> pathlib.Path:
    """An RSA key that signs service-account tokens."""
    _write_key(path, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    return path


def _write_key(path: pathlib.Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def _name(common_name: str, organization: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
