"""The command `sandbox` with the binaries of Kubernetes at hand: a real control plane of its own."""

from __future__ import annotations

import os
import pathlib
import re

import pytest

from tests.support import control_plane_build
from tests.support.sandbox_process import SandboxProcess
from tests.support.waiting import wait_until


@pytest.fixture
def environ() -> dict[str, str]:
    return {"KUBEBUILDER_ASSETS": str(control_plane_build.binaries())}


def test_the_real_control_plane_runs_the_samples(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    flags = ("--profile", "fast", "--until-ready", "--timeout", "60s")
    with SandboxProcess(tmp_path, *flags, environ=environ) as sandbox:
        sandbox.wait_for_output("kubectl: export KUBECONFIG=")
        children = sandbox.children()
        assert len(children) == 4
        assert sandbox.wait_for_exit() == 0, sandbox.output()
        output = sandbox.output()
        assert f"SaladCloud sandbox: Kubernetes {control_plane_build.kubernetes_version()}, profile fast" in output
        assert len(re.findall(r"pod   inference-\S+: Running, ready\n", output)) == 2
        assert "pod   refused: UnsupportedField: hostNetwork: " in output
        assert re.search(r"^4 pods: .*1 refused\.$", output, re.MULTILINE)
        assert sandbox.leftovers() == []
    assert not [child for child in children if _runs(child)]


def test_ctrl_c_while_the_control_plane_starts_leaves_nothing(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    with SandboxProcess(tmp_path, environ=environ) as sandbox:
        sandbox.wait_for_output("starting the control plane")
        children = wait_until(sandbox.children, timeout=20, what="a part of the control plane")
        assert sandbox.stop() == 0
        assert "Traceback" not in sandbox.output()
        assert sandbox.leftovers() == []
    assert not [child for child in children if _runs(child)]


def test_a_namespace_of_the_file_can_be_used_at_once(tmp_path: pathlib.Path, environ: dict[str, str]) -> None:
    manifests = tmp_path / "pod.yaml"
    manifests.write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: one, namespace: shop}, spec: {containers:"
        " [{name: main, image: nginx}], tolerations: [{key: virtual-kubelet.io/provider, operator: Exists}]}}"
    )
    flags = ("--apply", str(manifests), "--profile", "fast", "--until-ready")
    with SandboxProcess(tmp_path, *flags, environ=environ) as sandbox:
        assert sandbox.wait_for_exit() == 0, sandbox.output()
        assert "pod   shop/one: Running, ready\n" in sandbox.output()


def test_a_part_that_does_not_start_is_named_in_one_line(tmp_path: pathlib.Path) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        work = "echo out of order >&2; exit 3" if name == "etcd" else "exec tail -f /dev/null"
        (assets / name).write_text(f"#!/bin/sh\n{work}\n")
        (assets / name).chmod(0o755)
    with SandboxProcess(tmp_path, environ={"KUBEBUILDER_ASSETS": str(assets)}) as sandbox:
        assert sandbox.wait_for_exit() == 1
        assert sandbox.output().splitlines()[1:] == [
            "virtual-kubelet-salad sandbox: the control plane of KUBEBUILDER_ASSETS does not start:"
            " etcd ended with exit code 3: out of order"
        ]
        assert sandbox.leftovers() == []


def test_without_all_binaries_the_minimal_one_is_used_and_that_is_said(tmp_path: pathlib.Path) -> None:
    flags = ("--profile", "fast", "--until-ready")
    with SandboxProcess(tmp_path, *flags, environ={"KUBEBUILDER_ASSETS": str(tmp_path)}) as sandbox:
        assert sandbox.wait_for_exit() == 0
        assert "the minimal API server is used: KUBEBUILDER_ASSETS lacks etcd, kube-apiserver" in sandbox.output()


def _runs(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True
