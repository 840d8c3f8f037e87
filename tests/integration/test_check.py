"""`check` as a process: one line per fact, and an exit code."""

from __future__ import annotations

import pathlib

import pytest

from tests.support import subcommand
from tests.support.cloud_process import create_foreign_group
from virtual_kubelet_salad.sandbox.api_http import ApiServer
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer

pytestmark = pytest.mark.integration


def check(cloud: SaladCloudServer, directory: pathlib.Path, *flags: str, project: str = "default") -> subcommand.Ended:
    names = ("--sce-organization-name", "sandbox", "--sce-project-name", project)
    return subcommand.run(directory, "check", "--sce-api-url", cloud.url, *names, *flags)


def test_each_side_is_asked_and_each_failure_is_a_line(
    cloud: SaladCloudServer, api_server: ApiServer, kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    kubeconfig = ("--kubeconfig", str(kubeconfig_file))
    create_foreign_group(cloud, "somebodys")
    good = check(cloud, tmp_path, *kubeconfig)
    assert (good.code, good.lines("fail")) == (0, []), good
    assert any("without an owner record: 1 (somebodys)" in line for line in good.lines("ok")), good

    alone = check(cloud, tmp_path)
    assert alone.code == 1, alone
    assert [line.split(":")[0].split(maxsplit=1)[1] for line in alone.lines("fail")] == ["API server"], alone

    elsewhere = check(cloud, tmp_path, *kubeconfig, project="unknown")
    assert elsewhere.code == 1, elsewhere
    assert len(elsewhere.lines("fail")) == 1 and "project unknown" in elsewhere.lines("fail")[0], elsewhere

    cloud.control("refuse_keys", on=True)
    api_server.down()
    bad = check(cloud, tmp_path, *kubeconfig)
    assert bad.code == 1, bad
    assert len(bad.lines("fail")) == 2, bad
    api_server.up()
