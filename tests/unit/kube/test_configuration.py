"""Where the API server is and who we are: in-cluster and kubeconfig, tokens that change, mistakes that are named."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, Configuration

from tests.support.clock import FakeClock
from virtual_kubelet_salad.kube.configuration import ConfigurationError, load_configuration

SECRET = "hunter2-token"
IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def bearer(configuration: Configuration) -> str | None:
    """The Authorization header that the official client would send now."""
    request = ApiClient(configuration).param_serialize("GET", "/x", header_params={}, auth_settings=["BearerToken"])
    return request[2].get("authorization")


def kubeconfig(path: Path, user: dict[str, Any], **changes: Any) -> str:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "me"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:8001/"}}],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(yaml.safe_dump(content | changes))
    return str(path)


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text("certificate")
    return tmp_path


# -- in the cluster ----------------------------------------------------------------------------------------------------


def test_in_the_cluster_the_service_account_is_used(service_account: Path) -> None:
    configuration = load_configuration(None, environ=IN_CLUSTER, service_account=service_account)
    assert configuration.host == "https://10.96.0.1:443"
    assert configuration.ssl_ca_cert == str(service_account / "ca.crt")
    assert bearer(configuration) == "Bearer first", "without the newline of the file"


def test_a_rotated_token_is_read_again(service_account: Path, fake_clock: FakeClock) -> None:
    configuration = load_configuration(None, environ=IN_CLUSTER, service_account=service_account, clock=fake_clock)
    (service_account / "token").write_text("second\n")
    assert bearer(configuration) == "Bearer first"
    fake_clock.advance(31)
    assert bearer(configuration) == "Bearer second"


def test_a_refused_token_is_read_again_at_once(service_account: Path, fake_clock: FakeClock) -> None:
    configuration = load_configuration(None, environ=IN_CLUSTER, service_account=service_account, clock=fake_clock)
    (service_account / "token").write_text("second\n")
    configuration.refresh_api_key_hook.forget()  # type: ignore[attr-defined]
    assert bearer(configuration) == "Bearer second"


@pytest.mark.parametrize("breakage", ["missing", "empty"])
def test_the_last_token_is_kept_while_the_file_is_unreadable(
    service_account: Path, fake_clock: FakeClock, breakage: str, caplog: pytest.LogCaptureFixture
) -> None:
    configuration = load_configuration(None, environ=IN_CLUSTER, service_account=service_account, clock=fake_clock)
    token = service_account / "token"
    token.unlink() if breakage == "missing" else token.write_text("\n")
    fake_clock.advance(31)
    assert bearer(configuration) == "Bearer first"
    assert bearer(configuration) == "Bearer first"
    assert len(caplog.records) == 1
    token.write_text("second")
    fake_clock.advance(31)
    assert bearer(configuration) == "Bearer second"


@pytest.mark.parametrize("missing", ["environment", "token", "ca.crt"])
def test_outside_a_cluster_one_line_says_so(service_account: Path, missing: str) -> None:
    if missing != "environment":
        (service_account / missing).unlink()
    with pytest.raises(ConfigurationError, match="no kubeconfig is given") as caught:
        load_configuration(
            None, environ={} if missing == "environment" else IN_CLUSTER, service_account=service_account
        )
    assert "\n" not in str(caught.value)


# -- kubeconfig --------------------------------------------------------------------------------------------------------


def test_a_kubeconfig_wins_over_the_cluster(tmp_path: Path, service_account: Path) -> None:
    path = kubeconfig(tmp_path / "config", {"token": SECRET})
    configuration = load_configuration(path, environ=IN_CLUSTER, service_account=service_account)
    assert configuration.host == "http://127.0.0.1:8001"
    assert bearer(configuration) == f"Bearer {SECRET}"


def test_the_default_configuration_of_the_process_is_left_alone(tmp_path: Path) -> None:
    load_configuration(kubeconfig(tmp_path / "config", {"token": SECRET}))
    assert bearer(Configuration.get_default_copy()) is None


def test_a_token_file_is_read_again(tmp_path: Path, fake_clock: FakeClock) -> None:
    (tmp_path / "tok").write_text("first\n")
    path = kubeconfig(tmp_path / "config", {"tokenFile": "tok", "token": "inline"})
    configuration = load_configuration(path, clock=fake_clock)
    assert bearer(configuration) == "Bearer first", "the path is relative to the kubeconfig, and wins over token"
    (tmp_path / "tok").write_text("second\n")
    fake_clock.advance(31)
    assert bearer(configuration) == "Bearer second"


def test_several_kubeconfigs_are_merged(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "tok").write_text("from-elsewhere")
    first = kubeconfig(tmp_path / "one", {}, users=[])
    second = kubeconfig(other / "two", {"tokenFile": "tok"}, clusters=[])
    configuration = load_configuration(os.pathsep.join([first, second]))
    assert bearer(configuration) == "Bearer from-elsewhere"


def test_client_certificates_are_used(tmp_path: Path) -> None:
    data = base64.b64encode(b"pem").decode()
    path = kubeconfig(
        tmp_path / "config",
        {"client-certificate-data": data, "client-key-data": data},
        clusters=[{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": data}}],
    )
    configuration = load_configuration(path)
    assert Path(configuration.cert_file or "").read_bytes() == b"pem"
    assert bearer(configuration) is None


# -- credential plugins ------------------------------------------------------------------------------------------------


def plugin(tmp_path: Path, **status: str) -> dict[str, Any]:
    """A plugin that counts its runs, and gives a token that is about to expire."""
    runs = tmp_path / "runs"
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"expirationTimestamp": "2020-01-01T00:00:00Z", **status},
    }
    code = f"open({str(runs)!r}, 'a').write('x'); print({json.dumps(answer)!r})"
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": ["-c", code],
            "interactiveMode": "Never",
        }
    }


def test_a_plugin_does_not_run_at_every_request(tmp_path: Path, fake_clock: FakeClock) -> None:
    path = kubeconfig(tmp_path / "config", plugin(tmp_path, token=SECRET))
    configuration = load_configuration(path, clock=fake_clock)
    for _ in range(3):
        assert bearer(configuration) == f"Bearer {SECRET}"
    assert len((tmp_path / "runs").read_text()) == 2
    fake_clock.advance(31)
    bearer(configuration)
    assert len((tmp_path / "runs").read_text()) == 3


def test_a_plugin_without_credentials_is_an_error_and_not_an_anonymous_client(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", plugin(tmp_path))
    with pytest.raises(ConfigurationError, match="neither token nor certificate"):
        load_configuration(path)


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"current-context": "elsewhere"}, "current-context"),
        ({"contexts": []}, "current-context"),
        ({"contexts": None}, "current-context"),
        ({"clusters": []}, "Expected object with name c"),
        ({"clusters": [{"name": "c"}]}, "cluster"),
        ({"clusters": [{"name": "c", "cluster": {"server": "127.0.0.1:6443"}}]}, "no http or https URL"),
        ({"clusters": [{"name": "c", "cluster": {"certificate-authority": "x"}}]}, "no http or https URL"),
    ],
)
def test_a_broken_kubeconfig_is_named_without_its_values(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    path = kubeconfig(tmp_path / "config", {"token": SECRET}, **changes)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        load_configuration(path)
    assert str(caught.value).startswith(f"kubeconfig {path}: ")
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", ["", "[]", "text", f"token: {SECRET}: :", "\x00", "a: &x *x"])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(str(path))
    assert SECRET not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent: No such file"):
        load_configuration(str(tmp_path / "absent"))


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", {"tokenFile": "/absent/token"})
    with pytest.raises(ConfigurationError, match="/absent/token"):
        load_configuration(path)
