"""The daemon as its own process: started, asked, stopped, frozen and killed by a test.

Every start appends to one log file; ports are free ones, read from the log. The daemon sees nothing of the test's own
environment but what it is given, so that a variable of the developer's shell changes no result.
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import sys
import types
from collections.abc import Mapping
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from tests.support.cloud_process import REPOSITORY
from tests.support.plain_http import Answer, NoAnswer, ask
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox.processes import ChildProcess

API_KEY = "tests-own-key"
READY_SECONDS = 120.0
# --shutdown-timeout of every daemon here, and what the process may need on top of it to end.
SHUTDOWN_SECONDS = 10.0
EXIT_GRACE_SECONDS = 20.0
_ADDRESS = re.compile(r'health and metrics served address=([^\s"]+)')
# What no run may write, however it ends.
_PROBLEMS = ("Traceback (most recent call last)", " CRITICAL ")


class Samples:
    """One scrape, parsed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        """The sum over all samples of that name (without the common prefix) that have these labels. AssertionError
        when there is none."""
        found = [value for _, value in self.samples(name, **labels)]
        assert found, f"no sample {name} {labels}"
        return sum(found)

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """All labels and the value of each sample of that name that has these labels."""
        return [
            (has, value)
            for sample, has, value in self._samples
            if sample == f"virtual_kubelet_salad_{name}" and labels.items() <= has.items()
        ]


class DaemonProcess:
    """One daemon, again and again. A context manager that starts it and leaves nothing behind.

    `flags` come after those that every test needs, and so win over them.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        kubeconfig: pathlib.Path,
        cloud_url: str,
        *flags: str,
        name: str = "daemon",
        api_key: str = API_KEY,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = directory / f"{name}.log"
        self._name = name
        self._command = [
            sys.executable, "-m", "virtual_kubelet_salad",
            "--kubeconfig", str(kubeconfig),
            "--sce-api-url", cloud_url,
            "--sce-organization-name", "sandbox",
            "--sce-project-name", "default",
            "--metrics-address", "127.0.0.1:0",
            "--node-ip", "127.0.0.1",
            "--kubelet-port", "0",
            "--shutdown-timeout", f"{SHUTDOWN_SECONDS:g}s",
            *flags,
        ]  # fmt: skip
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(directory),
            "PYTHONPATH": str(REPOSITORY),
            "SALAD_CLOUD_API_KEY": api_key,
            **(environment or {}),
        }
        self._process: ChildProcess | None = None
        self._begin = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    # -- its life

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.exit_code() is None

    def start(self) -> None:
        """Returns at once; see `wait_until_ready`."""
        assert not self.is_running, f"{self._name} runs already"
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        self._process = ChildProcess(self._name, self._command, self.log, self._environment)

    def terminate(self) -> None:
        """SIGTERM; returns at once."""
        os.kill(self.pid, signal.SIGTERM)

    def wait_for_exit(self, timeout: float) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        code = self._running().wait(timeout)
        self._process = None
        return code

    def stop(self) -> int:
        """SIGTERM, and its exit code; killed when it takes longer than it may."""
        code = self._running().stop(SHUTDOWN_SECONDS + EXIT_GRACE_SECONDS)
        self._process = None
        return code

    def kill(self) -> None:
        """SIGKILL: no word of farewell to anybody. Also for one that is frozen."""
        self._running().kill()
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay, nothing moves."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """`kill -9`, and a new process that is ready."""
        self.kill()
        self.start()
        self.wait_until_ready()

    # -- what it says

    def wait_until_ready(self, timeout: float = READY_SECONDS) -> None:
        """Until /readyz says so."""
        wait_until(lambda: self.get("/readyz").status == 200, timeout=timeout, what="the daemon to be ready")

    def get(self, path: str) -> Answer:
        """A request to the health port. AssertionError while nothing answers there, or when the process has ended."""
        assert self._running().exit_code() is None, f"the daemon has ended:\n{self._running().log_tail()}"
        addresses = _ADDRESS.findall(self.log_of_this_run())
        assert addresses, "the daemon does not serve yet"
        try:
            return ask("GET", f"http://{addresses[-1]}{path}")
        except NoAnswer as problem:
            raise AssertionError(str(problem)) from problem

    def metrics(self) -> Samples:
        answer = self.get("/metrics")
        assert answer.status == 200, answer
        return Samples(answer.text)

    def log_of_this_run(self) -> str:
        """What it wrote since its latest start."""
        with open(self.log, "rb") as file:
            file.seek(self._begin)
            return file.read().decode(errors="replace")

    def whole_log(self) -> str:
        return self.log.read_text(errors="replace")

    def problems(self) -> list[str]:
        """Lines of the whole log that no run may write, with what follows each."""
        lines = self.whole_log().splitlines()
        return [
            "\n".join(lines[number : number + 30])
            for number, line in enumerate(lines)
            if any(problem in line for problem in _PROBLEMS)
        ]

    def _running(self) -> ChildProcess:
        assert self._process is not None, f"{self._name} was not started"
        return self._process
