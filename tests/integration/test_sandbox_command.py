"""The command `sandbox` as a newcomer runs it: one process, with the minimal API server."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.sandbox_process import EXIT_SECONDS, STOP_SECONDS, SandboxProcess, command, environment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

MANIFESTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {MODE: quick}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{key: virtual-kubelet.io/provider, operator: Exists}]
      containers: [{name: main, image: "nginx:1.29", envFrom: [{configMapRef: {name: settings}}]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec:
      restartPolicy: Never
      tolerations: [{key: virtual-kubelet.io/provider, operator: Exists}]
      containers: [{name: main, image: busybox, command: [sh, -c, "sleep 1; exit 0"]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
"""


def run(directory: pathlib.Path, *flags: str) -> tuple[int, str, list[str]]:
    """Exit code, output and what is left behind of a run that ends by itself."""
    with SandboxProcess(directory, *flags) as sandbox:
        code = sandbox.wait_for_exit()
        return code, sandbox.output(), sandbox.leftovers()


def address(sandbox: SandboxProcess) -> str:
    """Where its API server listens."""
    found = re.search(r"^kubectl: export KUBECONFIG=(\S+)$", sandbox.output(), re.MULTILINE)
    assert found
    server = re.search(r"server: (\S+)", pathlib.Path(found[1]).read_text())
    assert server
    return server[1]


def ask(sandbox: SandboxProcess, path: str) -> tuple[int, bytes]:
    """Status and body of a GET."""
    try:
        with urllib.request.urlopen(f"{address(sandbox)}{path}") as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def test_the_samples_become_ready_finished_or_refused(tmp_path: pathlib.Path) -> None:
    code, output, leftovers = run(tmp_path, "--profile", "fast", "--seed", "7", "--until-ready", "--timeout", "60s")
    assert code == 0, output
    assert "profile fast, seed 7\n" in output
    assert len(re.findall(r"pod   inference-\S+: Running, ready\n", output)) == 2
    assert "pod   refused: UnsupportedField: hostNetwork: " in output
    assert re.search(r"^4 pods: .*1 refused\.$", output, re.MULTILINE)
    assert "Traceback" not in output
    assert leftovers == []


def test_own_manifests_are_run(tmp_path: pathlib.Path) -> None:
    manifests = tmp_path / "shop.yaml"
    manifests.write_text(MANIFESTS)
    code, output, _ = run(tmp_path, "--apply", str(manifests), "--profile", "fast", "--until-ready")
    assert code == 0, output
    assert "Namespace shop was created\n" in output
    assert "Service web was left out: the minimal API server does not know Service of v1\n" in output
    assert len(re.findall(r"pod   shop/web-\S+: Running, ready\n", output)) == 2
    assert re.search(r"^3 pods: ", output, re.MULTILINE)


def test_the_kubeconfig_that_is_printed_works_while_it_runs(tmp_path: pathlib.Path) -> None:
    with SandboxProcess(tmp_path, "--profile", "fast") as sandbox:
        sandbox.wait_for_output("node  saladcloud-node: ready")
        (node,) = json.loads(ask(sandbox, "/api/v1/nodes")[1])["items"]
        assert node["metadata"]["name"] == "saladcloud-node"
        assert sandbox.stop() == 0
        assert sandbox.leftovers() == []


def test_the_node_is_asked_for_logs_as_in_any_cluster(tmp_path: pathlib.Path) -> None:
    pods = "/api/v1/namespaces/default/pods"
    with SandboxProcess(tmp_path, "--profile", "fast") as sandbox:
        sandbox.wait_for_output(": Running, ready")
        sandbox.wait_for_output("pod   refused: UnsupportedField")
        name = re.findall(r"pod   (\S+): Running, ready", sandbox.output())[0]
        wait_until(lambda: b" started\n" in ask(sandbox, f"{pods}/{name}/log")[1], timeout=60, what="the first line")
        status, answer = ask(sandbox, f"{pods}/{name}/log?previous=true")
        assert status == 400 and json.loads(answer)["message"].startswith("previous terminated container ")
        status, answer = ask(sandbox, f"{pods}/refused/log")
        assert status == 400 and "is waiting to start: UnsupportedField: hostNetwork" in json.loads(answer)["message"]
        status, answer = ask(sandbox, f"{pods}/refused/log?container=other")
        assert status == 400 and json.loads(answer)["message"] == "container other is not valid for pod refused"
        assert ask(sandbox, f"{pods}/nobody/log")[0] == 404
        status, answer = ask(sandbox, f"{pods}/{name}/exec?command=ls")
        assert status == 501 and json.loads(answer)["message"].startswith("kubectl exec and cp are not possible")
        assert ask(sandbox, "/api/v1/nodes/saladcloud-node/proxy/healthz") == (200, b"ok")
        with urllib.request.urlopen(f"{address(sandbox)}{pods}/{name}/log?follow=true") as follower:
            assert follower.readline().endswith(b" started\n")
            assert sandbox.stop() == 0
        assert "Traceback" not in sandbox.output()
        assert sandbox.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    with SandboxProcess(tmp_path, "--profile", "fast") as sandbox:
        sandbox.wait_for_output("group training-")
        assert sandbox.stop(number) == 0
        assert "Traceback" not in sandbox.output()
        assert sandbox.leftovers() == []


def test_a_signal_during_the_start_ends_it_too(tmp_path: pathlib.Path) -> None:
    with SandboxProcess(tmp_path) as sandbox:
        sandbox.wait_for_output("kubectl: export")  # the daemon has not even loaded its clients
        assert sandbox.stop() == 0
        assert "Traceback" not in sandbox.output()
        assert sandbox.leftovers() == []


def test_a_timeout_names_the_pods_that_are_not_ready(tmp_path: pathlib.Path) -> None:
    manifests = tmp_path / "pod.yaml"
    manifests.write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: lost}, spec: {containers: [{name: main, image: nginx}]}}"
    )
    flags = ("--apply", str(manifests), "--profile", "fast", "--until-ready", "--timeout", "4s")
    code, output, leftovers = run(tmp_path, *flags)
    assert code == 1, output
    assert "virtual-kubelet-salad sandbox: not all pods were ready within 4 s\n" in output
    assert "virtual-kubelet-salad sandbox: lost: Pending 0/1 nodes are available: 1 node(s) had untolerated" in output
    assert leftovers == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "--apply: the file is no YAML, line 1"),
        ("kind: Pod", "--apply: object 1 lacks apiVersion, metadata.name"),
        ("# nothing", "--apply: the file holds no object"),
    ],
)
def test_a_bad_file_is_one_line_and_code_2(tmp_path: pathlib.Path, text: str, problem: str) -> None:
    manifests = tmp_path / "bad.yaml"
    manifests.write_text(text)
    code, output, _ = run(tmp_path, "--apply", str(manifests))
    assert code == 2
    (line,) = output.splitlines()
    assert line.startswith(f"virtual-kubelet-salad: {problem}")


def test_an_object_that_the_api_server_refuses_is_one_line_and_code_1(tmp_path: pathlib.Path) -> None:
    manifests = tmp_path / "bad.yaml"
    manifests.write_text("{apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {containers: []}}")
    code, output, leftovers = run(tmp_path, "--apply", str(manifests))
    assert code == 1
    (line,) = output.splitlines()
    assert line.startswith('virtual-kubelet-salad sandbox: Pod bad: Pod "bad" is invalid: spec.containers: Required')
    assert leftovers == []


def test_a_reader_that_goes_away_ends_it_without_a_trace(tmp_path: pathlib.Path) -> None:
    with subprocess.Popen(
        command("--profile", "fast"),
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as sandbox:
        assert sandbox.stdout is not None and sandbox.stderr is not None
        assert sandbox.stdout.readline().startswith("SaladCloud sandbox: ")
        sandbox.stdout.close()
        assert sandbox.wait(EXIT_SECONDS) == 1
        assert "Traceback" not in sandbox.stderr.read()
    assert list(tmp_path.iterdir()) == []


# -- on a terminal


class Terminal:
    """A terminal of 100 columns and 30 lines with the sandbox in its foreground."""

    def __init__(self, directory: pathlib.Path, *flags: str) -> None:
        self._keyboard, terminal = pty.openpty()
        os.set_blocking(self._keyboard, False)
        settings = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        self.process = subprocess.Popen(
            command(*flags), env=environment(directory, settings), preexec_fn=lambda: os.login_tty(terminal)
        )
        os.close(terminal)
        self._shown = ""

    def type(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def shown(self) -> str:
        """All that was ever written to it, without colors and cursor movements."""
        while select.select([self._keyboard], [], [], 0)[0]:
            try:
                self._shown += os.read(self._keyboard, 65_536).decode(errors="replace")
            except OSError:  # the process has ended, and with it the terminal
                break
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._shown)

    def raw(self) -> str:
        self.shown()
        return self._shown

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._keyboard)


@pytest.fixture
def terminal(tmp_path: pathlib.Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, "--profile", "fast", "--log-level", "info")
    yield terminal
    terminal.close()


def test_a_terminal_shows_tables_and_ctrl_c_gives_it_back(terminal: Terminal, tmp_path: pathlib.Path) -> None:
    wait_until(lambda: "room for 1k pods" in terminal.shown(), timeout=30, what="a node")
    wait_until(lambda: re.search(r"inference-\S+ +Running +yes", terminal.shown()), timeout=30, what="a running pod")
    terminal.type(b"\x03")
    assert terminal.process.wait(STOP_SECONDS) == 0
    assert "Ended." in terminal.shown()
    assert "Traceback" not in terminal.shown()
    assert terminal.raw().rindex("\x1b[?25h") > terminal.raw().rindex("\x1b[?25l")  # the cursor is shown again
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_written_in_whole_lines_above_the_tables(terminal: Terminal) -> None:
    wait_until(lambda: re.search(r"inference-\S+ +Running +yes", terminal.shown()), timeout=30, what="a running pod")
    terminal.type(b"\x03")
    assert terminal.process.wait(STOP_SECONDS) == 0
    lines = [line.strip() for line in terminal.shown().replace("\r", "\n").split("\n")]
    begins = [line for line in lines if re.search(r"\d{4}-\d\d-\d\dT[0-9:.]+Z (INFO|WARNING)", line)]
    assert len(begins) > 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in begins), begins
