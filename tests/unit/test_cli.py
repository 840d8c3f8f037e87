from __future__ import annotations

import importlib
import json
import logging
import re
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable

import pytest

import virtual_kubelet_salad
from virtual_kubelet_salad import cli, config, errors, logs
from virtual_kubelet_salad.signals import StopSignals

KEY = "salad_cloud_user_4f1dXyZ"


@pytest.fixture(autouse=True)
def own_process_settings(process_settings_are_restored: None) -> None:
    """For every test here."""


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALAD_CLOUD_API_KEY", KEY)
    monkeypatch.setenv("SALAD_CLOUD_ORGANIZATION_NAME", "acme-corp")
    monkeypatch.setenv("SALAD_CLOUD_PROJECT_NAME", "dev-env")


def install(monkeypatch: pytest.MonkeyPatch, name: str, **attributes: object) -> None:
    """Puts a module in place of a part that cli loads late."""
    module = types.ModuleType(f"virtual_kubelet_salad.{name}")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    parent, _, child = module.__name__.rpartition(".")
    monkeypatch.setattr(importlib.import_module(parent), child, module, raising=False)


Run = Callable[[config.Config, threading.Event], int]


def install_app(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    install(monkeypatch, "app", run=run)


# -- exit codes


def test_without_a_subcommand_it_is_the_daemon(monkeypatch: pytest.MonkeyPatch, configured: None) -> None:
    seen: list[config.Config] = []

    def run(settings: config.Config, stop: threading.Event) -> int:
        seen.append(settings)
        return 7

    install_app(monkeypatch, run)
    assert cli.main(["--nodename", "n1"]) == 7
    assert seen[0].nodename == "n1"


def test_problems_are_one_line_each_on_stderr_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--workers", "0", "--sce-api-key", KEY]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 3
    assert all(line.startswith("virtual-kubelet-salad: --") for line in printed.err.splitlines())
    assert KEY not in printed.err


@pytest.mark.parametrize("argument", ["sandbx", KEY, ""])
def test_an_unknown_subcommand_is_an_error_that_does_not_repeat_it(
    argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([argument, "--help"]) == 2
    known = ", ".join(sorted(cli._SUBCOMMANDS))
    assert capsys.readouterr().err == (
        f"virtual-kubelet-salad: the first argument is no subcommand ({known}) and no flag; see --help\n"
    )


def test_a_flag_before_a_subcommand_is_an_error(capsys: pytest.CaptureFixture[str], configured: None) -> None:
    assert cli.main(["--nodename", "a", "sandbox"]) == 2
    assert "sandbox: a subcommand must be the first argument" in capsys.readouterr().err


def test_a_subcommand_gets_the_arguments_after_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        seen.append(list(arguments))
        return 3

    install(monkeypatch, "sandbox.command", main=main)
    assert cli.main(["sandbox", "--apply", "pod.yaml"]) == 3
    assert seen == [["--apply", "pod.yaml"]]


def test_the_options_of_a_subcommand_are_checked_with_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: list[str]) -> int:
        raise config.ConfigProblems(["--seed (SALAD_VK_SEED): must be a whole number from 0 to 9"])

    install(monkeypatch, "sandbox.command", main=main)
    assert cli.main(["sandbox", "--seed", "x"]) == 2
    assert capsys.readouterr().err.startswith("virtual-kubelet-salad: --seed")


def test_an_error_of_the_daemon_is_one_log_line_and_code_1(
    monkeypatch: pytest.MonkeyPatch, configured: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(settings: config.Config, stop: threading.Event) -> int:
        raise errors.Forbidden("may not read the namespace kube-system")

    install_app(monkeypatch, run)
    assert cli.main([]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "may not read the namespace kube-system" in line


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"virtual-kubelet-salad {virtual_kubelet_salad.__version__}\n"


# -- signals


def send(number: signal.Signals) -> None:
    """Sends a signal to the thread that waits for it. One to the whole process could be taken by a thread that another
    test's server has started before, and would end the run.
    """
    waiting = next(thread for thread in threading.enumerate() if thread.name == "signals")
    assert waiting.ident is not None
    signal.pthread_kill(waiting.ident, number)


def test_the_first_signal_asks_for_an_ordered_stop(monkeypatch: pytest.MonkeyPatch, configured: None) -> None:
    def run(settings: config.Config, stop: threading.Event) -> int:
        send(signal.SIGTERM)
        return 0 if stop.wait(60) else 9

    install_app(monkeypatch, run)
    assert cli.main([]) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_the_process_with_code_1(second: signal.Signals) -> None:
    exits: list[int] = []
    ended = threading.Event()

    def exit_at_once(code: int) -> None:
        exits.append(code)
        ended.set()

    with StopSignals(exit_at_once) as stop:
        send(signal.SIGINT)
        assert stop.wait(60)
        assert exits == []
        send(second)
        assert ended.wait(60)
    assert exits == [1]


def test_afterwards_signals_are_as_they_were() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with StopSignals():
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


# -- log


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_text_line_holds_time_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "text")
    logging.getLogger("virtual_kubelet_salad.kubelet.node").info("lease renewed age=%s", 3)
    (line,) = log_lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO kubelet\.node: lease renewed age=3", line)


def test_a_message_cannot_forge_a_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    for log_format in ("text", "json"):
        logs.set_up("info", log_format)
        logging.getLogger("x").info("message=%s", "a\r\n2026-01-01 INFO forged")
        assert len(log_lines(capsys)) == 1


def test_a_json_line_is_one_object_also_with_a_stack_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "json")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("x").exception("failed pod=%s", "a/b")
    (line,) = log_lines(capsys)
    entry = json.loads(line)
    assert (entry["level"], entry["logger"], entry["message"]) == ("error", "x", "failed pod=a/b")
    assert "ValueError: why" in entry["exception"]


def test_the_level_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("warning", "text")
    logging.getLogger("virtual_kubelet_salad.x").info("quiet")
    logging.getLogger("virtual_kubelet_salad.x").warning("loud")
    assert [line.rpartition(" ")[2] for line in log_lines(capsys)] == ["loud"]


@pytest.mark.parametrize("name", ["kubernetes.client.rest", "urllib3.connectionpool", "requests.sessions"])
def test_third_parties_are_never_below_warnings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("debug", "text")
    logging.getLogger(name).debug("response body: %s", KEY)
    logging.getLogger(name).info("response body: %s", KEY)
    assert log_lines(capsys) == []


def test_warnings_of_python_are_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "old" in json.loads(log_lines(capsys)[0])["message"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_key_is_in_no_output_of_a_run_that_logs_its_configuration(
    monkeypatch: pytest.MonkeyPatch, configured: None, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    def run(settings: config.Config, stop: threading.Event) -> int:
        logging.getLogger("x").debug("configuration=%s key=%r", settings, settings.api_key)
        return 0

    install_app(monkeypatch, run)
    assert cli.main(["--log-level", "debug", "--log-format", log_format]) == 0
    printed = capsys.readouterr()
    assert "acme-corp" in printed.err
    assert KEY not in printed.out + printed.err
