"""The tests' own tools: each must be able to fail."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import html
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest

from tests.support import control_plane_build, go_build
from tests.support.canaries import Canary, found
from tests.support.clock import FakeClock
from tests.support.control_plane_build import CONTROL_PLANE, METRICS_SERVER
from tests.support.go_build import CannotBuild
from tests.support.plain_http import NoAnswer, ask
from tests.support.waiting import wait_until
from virtual_kubelet_salad.sandbox import pki
from virtual_kubelet_salad.sandbox.https_api import CouldNotReach, HttpsApi
from virtual_kubelet_salad.sandbox.ports import free_ports
from virtual_kubelet_salad.sandbox.processes import ChildProcess

ROOT = pathlib.Path(__file__).parent.parent


def _executable(path: pathlib.Path, text: str = "#!/bin/sh\n") -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


# -- plain requests


def test_an_answer_that_is_cut_off_is_none(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut_off() -> None:
            made = server.accept()[0]
            with made:
                made.recv(65_536)
                made.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        thread = threading.Thread(target=cut_off)
        thread.start()
        with pytest.raises(NoAnswer, match="IncompleteRead"):
            ask("GET", f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join(60.0)

    def fail(*arguments: object, **options: object) -> None:
        raise http.client.IncompleteRead(b"half", 96)

    authority = pki.CertificateAuthority(tmp_path, "ca", datetime.datetime.now(datetime.UTC))
    client = authority.client("client", "ada")
    api = HttpsApi("https://127.0.0.1:1", authority.own.certificate, client.certificate, client.key)
    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(CouldNotReach, match="IncompleteRead"):
        api.request("GET", "/readyz")


# -- canaries


def _around(text: str, before: int) -> str:
    return "." * before + text + "." * 3


@pytest.mark.parametrize("before", [0, 1, 2, 3])
@pytest.mark.parametrize("part", ["text", "word"])
def test_a_canary_is_found_in_every_form(part: str, before: int) -> None:
    canary = Canary("a-name")
    value = _around(getattr(canary, part), before)
    once = base64.b64encode(value.encode()).decode()
    twice = base64.b64encode(_around(once, before).encode()).decode()
    forms = [value, json.dumps(value), html.escape(value), repr(value), quote(value), once, twice]
    for form in [*forms, base64.urlsafe_b64encode(value.encode()).decode(), once.rstrip("=")]:
        assert found([canary], {"here": f"<{form}>", "there": "nothing"}) == ["a-name in here"], form


def test_canaries_are_not_taken_for_one_another() -> None:
    one, other = Canary("one"), Canary("other")
    texts = {"a": one.text, "b": base64.b64encode(one.word.encode()).decode(), "c": "one other Kanarie"}
    assert found([other], texts) == [] and found([one], texts) == ["one in a", "one in b"]


# -- waiting


def test_waiting_returns_the_first_true_answer() -> None:
    answers = iter([0, None, "", "here"])
    assert wait_until(lambda: next(answers), timeout=5, what="an answer", interval=0.001) == "here"


def test_waiting_in_vain_names_what_and_the_last_answer() -> None:
    with pytest.raises(AssertionError, match="waited 0.01 s in vain for the moon; last seen: 0$"):
        wait_until(lambda: 0, timeout=0.01, what="the moon")


def test_a_failed_assertion_counts_as_not_yet() -> None:
    seen: list[int] = []

    def third_time() -> bool:
        seen.append(len(seen))
        assert len(seen) >= 3
        return True

    assert wait_until(third_time, timeout=5, what="the third time", interval=0.001)


def test_an_error_of_the_condition_is_not_waited_out() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, timeout=60, what="nothing")


def test_the_fake_clock_moves_only_when_told(fake_clock: FakeClock) -> None:
    before = fake_clock.monotonic()
    assert fake_clock.monotonic() == before
    fake_clock.advance(2.5)
    assert fake_clock.monotonic() == before + 2.5


# -- ports and processes


def test_free_ports_differ_and_lie_below_those_of_outgoing_connections() -> None:
    ports = free_ports(20)
    with socket.create_server(("127.0.0.1", 0)) as outgoing_range:
        first_ephemeral = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        assert outgoing_range.getsockname()[1] >= first_ephemeral
    assert len(set(ports)) == 20
    assert max(ports) < first_ephemeral


def test_a_child_process_that_ignores_a_polite_stop_is_killed(tmp_path: pathlib.Path) -> None:
    script = _executable(
        tmp_path / "deaf", "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do read -r line || :; done\n"
    )
    child = ChildProcess("deaf", [str(script)], tmp_path / "log")
    wait_until(lambda: "ready" in child.log_tail(), timeout=20, what="the child to be ready")
    assert child.exit_code() is None
    assert child.stop(graceful_seconds=0.1) == -9


def test_a_child_process_dies_with_the_process_that_started_it(tmp_path: pathlib.Path) -> None:
    program = (
        "import pathlib, sys; from virtual_kubelet_salad.sandbox.processes import ChildProcess;"
        "child = ChildProcess('child', ['/bin/cat', '/dev/zero'], pathlib.Path('/dev/null'));"
        "print(child.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child_id = int(parent.stdout.readline())
        os.kill(child_id, 0)
        parent.kill()

    def is_gone() -> bool:
        try:
            # A process that nobody has waited for yet is a zombie: dead all the same.
            return pathlib.Path(f"/proc/{child_id}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(is_gone, timeout=10, what="the child to die")


# -- building the control plane and metrics-server


def test_a_complete_directory_of_the_environment_is_used_as_it_is(tmp_path: pathlib.Path) -> None:
    for name in CONTROL_PLANE.binaries:
        _executable(tmp_path / name)
    assert control_plane_build.binaries({"KUBEBUILDER_ASSETS": str(tmp_path)}) == tmp_path


def test_an_incomplete_directory_of_the_environment_is_not_used(tmp_path: pathlib.Path) -> None:
    _executable(tmp_path / "assets" / "kubectl")
    environ = {
        "KUBEBUILDER_ASSETS": str(tmp_path / "assets"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PATH": str(_fake_go(tmp_path)),
    }
    assert tmp_path / "cache" in control_plane_build.binaries(environ).parents


def test_a_build_appears_whole_in_the_cache_and_is_made_once(tmp_path: pathlib.Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(_fake_go(tmp_path))}
    directory = control_plane_build.binaries(environ)
    assert sorted(path.name for path in directory.iterdir()) == sorted(CONTROL_PLANE.binaries)
    assert control_plane_build.binaries(environ) == directory
    assert (tmp_path / "builds").read_text() == "build\n"
    assert control_plane_build.kubernetes_version() in directory.name


def test_each_recipe_has_a_build_of_its_own(tmp_path: pathlib.Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(_fake_go(tmp_path))}
    program = control_plane_build.metrics_server(environ)
    assert os.access(program, os.X_OK)
    assert program.parent.parent.name == "metrics-server"
    assert METRICS_SERVER.version() in program.parent.name
    assert (tmp_path / "builds").read_text() == "build\n"
    assert program.parent not in control_plane_build.binaries(environ).parents


def test_what_a_recipe_pins_names_its_build(tmp_path: pathlib.Path) -> None:
    recipe = dataclasses.replace(METRICS_SERVER, directory=tmp_path)
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_bytes((METRICS_SERVER.directory / name).read_bytes())
    assert recipe.key() == METRICS_SERVER.key()
    (tmp_path / "go.sum").write_text("example.com/other v1.0.0 h1:another\n")
    assert recipe.key() != METRICS_SERVER.key()
    (tmp_path / "go.mod").write_text("module empty\n")
    with pytest.raises(CannotBuild, match="does not name a version of sigs.k8s.io/metrics-server"):
        recipe.key()


def test_a_build_that_fails_says_why_and_leaves_nothing_half_made(tmp_path: pathlib.Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(_fake_go(tmp_path, fails=True))}
    with pytest.raises(CannotBuild, match="(?s)failed.*no such module"):
        control_plane_build.binaries(environ)
    assert [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".lock"]
    assert not list((tmp_path / "cache").rglob("*partial*"))


def test_a_go_that_is_too_old_is_named_together_with_what_to_install(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "empty"))
    environ = {"PATH": str(_fake_go(tmp_path, version="1.19.8"))}
    with pytest.raises(CannotBuild, match="need Go 1.2[0-9.]+ or newer.*go is 1.19.8.*install"):
        go_build.go_command(CONTROL_PLANE.go_version(), environ)
    with pytest.raises(CannotBuild, match="there is none"):
        go_build.go_command("1.26.0", {"PATH": str(tmp_path / "empty")})


def _fake_go(tmp_path: pathlib.Path, *, version: str = "99.0.0", fails: bool = False) -> pathlib.Path:
    """A directory with a `go` that writes what the real one would, and counts its builds."""
    build = "echo 'no such module' >&2; exit 1" if fails else 'for name in $names; do cp "$0" "$output/$name"; done'
    names = " ".join("server" if name == "etcd" else name for name in CONTROL_PLANE.binaries)
    script = f"""#!/bin/sh
PATH=/usr/bin:/bin
if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit; fi
echo build >> {tmp_path / 'builds'}
case "$PWD" in */metrics_server) names=metrics-server;; *) names="{names}";; esac
while [ "$1" != -o ]; do shift; done
output="$2"
{build}
"""
    return _executable(tmp_path / "bin" / "go", script).parent


# -- what holds for every test


def test_a_test_that_leaves_a_thread_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.conftest.THREAD_GRACE_SECONDS", 0.2)
    pytester.makeconftest("from tests.conftest import *")
    pytester.makepyfile("""
        import threading
        stop = threading.Event()
        def test_leaks():
            threading.Thread(target=stop.wait, name="forgotten").start()
        def test_cleans_up():
            stop.set()
        """)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*threads outlive the test: forgotten*"])


def test_a_unit_test_that_connects_fails(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from tests.unit.conftest import *")
    pytester.makepyfile("""
        import socket
        def test_connects():
            try:
                socket.create_connection(("127.0.0.1", 9))
            except Exception:
                pass
        """)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a unit test may not connect*"])
