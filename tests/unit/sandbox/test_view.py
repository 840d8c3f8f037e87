"""How the sandbox is shown: plain lines, and tables that fit the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.support.clock import FakeClock
from tests.unit.sandbox.pictures import REFUSAL, group, picture, running, waiting
from virtual_kubelet_salad.sandbox.live_view import LiveScreen
from virtual_kubelet_salad.sandbox.picture import Picture
from virtual_kubelet_salad.sandbox.screen import Head
from virtual_kubelet_salad.sandbox.view import open_view

HEAD = Head("SaladCloud sandbox: minimal API server, profile fast, seed 7", "export KUBECONFIG=/tmp/kubeconfig")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# -- lines


def lines_of(clock: FakeClock, *pictures: Picture) -> list[str]:
    """What two seconds between the pictures make of them, without the head."""
    stream = io.StringIO()
    with open_view(HEAD, clock, stream) as screen:
        for shown in pictures:
            screen.show(shown)
            clock.advance(2)
    return stream.getvalue().splitlines()[2:]


def test_the_head_tells_the_seed_and_how_to_reach_the_cluster(fake_clock: FakeClock) -> None:
    stream = io.StringIO()
    with open_view(HEAD, fake_clock, stream):
        assert stream.getvalue() == f"{HEAD.title}\nkubectl: {HEAD.kubectl}\n"


def test_each_change_is_one_line_and_what_stays_is_none(fake_clock: FakeClock) -> None:
    first = picture(waiting("web", "Downloading", "The machine downloads the image: 50 %"), groups=[group("web-1")])
    second = picture(running("web", restarts=1), groups=[group("web-1", "running", "running")])
    assert lines_of(fake_clock, first, first, second, picture()) == [
        "   0s  node  saladcloud-node: ready, SaladCloud reached, room for 1k pods",
        "   0s  pod   web: Downloading: The machine downloads the image: 50 %",
        "   0s  group web-1: running",
        "   4s  pod   web: Running, ready, restarts 1",
        "   4s  group web-1: running (running)",
        "   6s  pod   web: gone",
        "   6s  group web-1: gone",
    ]


def test_the_traffic_is_told_every_ten_seconds(fake_clock: FakeClock) -> None:
    lines = lines_of(fake_clock, *(picture(requests=number) for number in range(12)))
    assert [line.split(",")[0] for line in lines[1:]] == [
        "  10s  SaladCloud: 5 requests in the last minute",
        "  20s  SaladCloud: 10 requests in the last minute",
    ]


def test_the_end_is_the_last_change_and_the_sums(fake_clock: FakeClock) -> None:
    stream = io.StringIO()
    with open_view(HEAD, fake_clock, stream) as screen:
        screen.show(picture(waiting("web", "Allocating")))
        screen.finish(picture(running("web"), requests=4))
    assert stream.getvalue().splitlines()[-3:] == [
        "   0s  pod   web: Running, ready",
        "   0s  SaladCloud: 4 requests in the last minute, 4 in all, 0 s billed",
        "1 pod: 1 ready.",
    ]


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    with open_view(HEAD, fake_clock, terminal) as screen:
        screen.show(picture(running("web")))
    assert "   0s  pod   web: Running, ready\n" in terminal.getvalue()


# -- tables


def table_of(shown: Picture, clock: FakeClock, width: int = 80, height: int = 24) -> list[str]:
    """What stays on a terminal of that size."""
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False)
    with LiveScreen(HEAD, clock, console) as screen:
        clock.advance(5)
        screen.finish(shown)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_tables_show_everything_aligned(fake_clock: FakeClock) -> None:
    shown = picture(
        running("web"),
        waiting("database", "Allocating", "SaladCloud looks for a machine"),
        groups=[group("web-1", "running", "running"), group("database-1", "pending")],
        requests=9,
    )
    assert table_of(shown, fake_clock) == [
        "SaladCloud sandbox: minimal API server, profile fast, seed 7",
        "kubectl: export KUBECONFIG=/tmp/kubeconfig",
        "",
        "Node saladcloud-node: ready, SaladCloud reached, room for 1k pods",
        "",
        "POD       STATUS      READY  MESSAGE",
        "web       Running     yes",
        "database  Allocating  no     SaladCloud looks for a machine",
        "",
        "CONTAINER GROUP  STATUS   INSTANCE  IMAGE",
        "database-1       pending            nginx:1.29",
        "web-1            running  running   nginx:1.29",
        "",
        "SaladCloud: 9 requests in the last minute, 9 in all, 0 s billed",
        "2 pods: 1 waiting, 1 ready. 5 s. Ended.",
    ]


def test_a_message_that_is_too_long_for_its_line_stands_below_it_whole(fake_clock: FakeClock) -> None:
    lines = table_of(picture(waiting("refused", "UnsupportedField", REFUSAL)), fake_clock)
    first = lines.index("refused  UnsupportedField  no")
    assert " ".join(line.strip() for line in lines[first + 1 : first + 4]).strip() == REFUSAL


def test_restarts_have_a_column_once_there_are_any(fake_clock: FakeClock) -> None:
    lines = table_of(picture(running("web", restarts=12)), fake_clock)
    assert "POD  STATUS   READY  RESTARTS  MESSAGE" in lines
    assert "web  Running  yes    12" in lines


def test_a_low_terminal_cuts_messages_before_it_leaves_out_pods_and_those_of_refused_pods_last(
    fake_clock: FakeClock,
) -> None:
    shown = picture(
        waiting("refused", "UnsupportedField", REFUSAL),
        *(waiting(f"web-{number}", "QuotaExceeded", "no more replicas can be created " * 4) for number in range(6)),
    )
    for height, refusal_is_whole in ((22, True), (20, False)):
        lines = table_of(shown, fake_clock, height=height)
        assert len(lines) < height
        assert sum(line.startswith("web-") and line.endswith("…") for line in lines) == 6
        assert any("salad.com/ignore-unsupported" in line for line in lines) is refusal_is_whole


@pytest.mark.parametrize("height", [12, 24, 60])
def test_a_thousand_pods_never_need_more_lines_than_there_are(fake_clock: FakeClock, height: int) -> None:
    names = [f"web-{number:04}" for number in range(1_000)]
    shown = picture(*(running(name) for name in names), groups=[group(f"{name}-x") for name in names])
    lines = table_of(shown, fake_clock, height=height)
    assert len(lines) <= max(height - 1, 15)
    pods = sum(line.endswith("yes") for line in lines)
    assert pods >= 1
    assert f"and {1_000 - pods} more pods" in lines
    assert lines[-1].startswith("1000 pods: 1000 ready.")


def test_a_node_that_is_not_there_yet_is_no_problem(fake_clock: FakeClock) -> None:
    assert "0 pods. 5 s. Ended." in table_of(picture(nodes=[]), fake_clock)
