from __future__ import annotations

import logging
import pathlib
import ssl
from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.tls import client_context, shake_hands
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.kubelet_api.certificates import KeyPair, self_signed
from virtual_kubelet_salad.kubelet_api.tls import (
    CLIENT_CA_SECONDS,
    CertificateFiles,
    FixedCertificate,
    TlsSettings,
    cluster_client_ca,
)
from virtual_kubelet_salad.runtime.clock import SystemClock

FIRST, SECOND = (self_signed(name, [name], SystemClock().now()) for name in ("first", "second"))


class Files:
    """A certificate's two files."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.certificate, self.key = directory / "tls.crt", directory / "tls.key"

    def write(self, pair: KeyPair) -> None:
        self.certificate.write_bytes(pair.certificate)
        self.key.write_bytes(pair.key)


@pytest.fixture
def files(tmp_path: pathlib.Path) -> Files:
    files = Files(tmp_path)
    files.write(FIRST)
    return files


def shown_by(settings: TlsSettings) -> bytes | None:
    return shake_hands(settings.context(), client_context())[1]


def der(pair: KeyPair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.decode())


def no_ca() -> str | None:
    return None


def test_changed_files_count_for_the_next_connection(files: Files, fake_clock: FakeClock) -> None:
    settings = TlsSettings(CertificateFiles(files.certificate, files.key), no_ca, fake_clock)
    assert shown_by(settings) == der(FIRST)
    files.write(SECOND)
    settings.step()
    assert shown_by(settings) == der(SECOND)


def test_half_written_files_are_waited_for(
    files: Files, fake_clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    settings = TlsSettings(CertificateFiles(files.certificate, files.key), no_ca, fake_clock)
    files.certificate.write_bytes(SECOND.certificate)
    with caplog.at_level(logging.WARNING):
        settings.step()
        settings.step()
    assert shown_by(settings) == der(FIRST)
    assert len(caplog.records) == 1
    files.certificate.unlink()
    settings.step()
    assert shown_by(settings) == der(FIRST)
    files.write(SECOND)
    settings.step()
    assert shown_by(settings) == der(SECOND)


def test_settings_that_did_not_change_stay_the_same(files: Files, fake_clock: FakeClock) -> None:
    settings = TlsSettings(CertificateFiles(files.certificate, files.key), no_ca, fake_clock)
    context = settings.context()
    settings.step()
    assert settings.context() is context


def test_a_first_certificate_that_is_none_is_told_at_once(files: Files, fake_clock: FakeClock) -> None:
    files.key.write_bytes(SECOND.key)
    with pytest.raises(errors.Error):
        TlsSettings(CertificateFiles(files.certificate, files.key), no_ca, fake_clock)
    files.key.unlink()
    with pytest.raises(errors.Error, match="--tls-cert-file or --tls-private-key-file cannot be read"):
        TlsSettings(CertificateFiles(files.certificate, files.key), no_ca, fake_clock)


def test_client_certificates_are_asked_for_once_the_ca_is_known(fake_clock: FakeClock) -> None:
    answers: list[str | Exception | None] = [
        errors.CouldNotAsk("down"), None, FIRST.certificate.decode(), errors.CouldNotAsk("down"),
    ]  # fmt: skip

    def ask() -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    settings = TlsSettings(FixedCertificate(FIRST), ask, fake_clock)
    modes = []
    for _ in range(4):
        settings.step()
        modes.append(settings.context().verify_mode)
        fake_clock.advance(CLIENT_CA_SECONDS)
    # What is known stays, when it cannot be asked for again.
    assert modes == [ssl.CERT_NONE, ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_OPTIONAL]


def test_a_known_ca_is_not_asked_for_at_every_look(fake_clock: FakeClock) -> None:
    asked: list[float] = []

    def ask() -> str | None:
        asked.append(fake_clock.monotonic())
        return None

    settings = TlsSettings(FixedCertificate(FIRST), ask, fake_clock)
    for _ in range(20):
        fake_clock.advance(settings.step())
    assert len(asked) == 1 + 20 * 10 // int(CLIENT_CA_SECONDS)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"client-ca-file": "PEM", "requestheader-client-ca-file": "OTHER"}, "PEM"),
        ({"requestheader-client-ca-file": "OTHER"}, None),
        ({"client-ca-file": " "}, None),
        (None, None),
    ],
)
def test_only_the_ca_of_clients_is_believed_and_not_that_of_the_aggregator(
    data: dict[str, str] | None, expected: str | None
) -> None:
    class Shown:
        def request(self, method: str, path: str, **options: Any) -> ApiAnswer:
            assert path == "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
            return ApiAnswer(200, {"kind": "ConfigMap", "data": data})

    assert cluster_client_ca(ApiServer(Shown())) == expected
