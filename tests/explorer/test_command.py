"""The explorer from the command line: exit codes, what is printed, and that a finding can be found again."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.explorer.__main__ import main
from tests.explorer.explore import Found, actions_of, explore, replay
from tests.explorer.layout import KINDS, layout_of, seeds_of
from tests.explorer.planted import DEFECTS
from tests.explorer.rules import DEFECT
from virtual_kubelet_salad.kubelet.starting import Starting

FEW_ACTIONS = 10


def run(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    """As people call it; `hash_seed` orders the sets of the process."""
    command = [sys.executable, "-m", "tests.explorer", *arguments]
    return subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, timeout=300
    )


def test_a_run_without_a_violation_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--steps", "50"]) == 0
    assert re.fullmatch(r"2 seeds, 100 steps, \d+ steps/s, 0 violations\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "x"], "argument --seed: 'x' is not a number from 0 on"),
        (["--seed", "-1"], "argument --seed: '-1' is not a number from 0 on"),
        (["--steps", "0"], "argument --steps: '0' is not a number from 1 on"),
        (["--seeds", "1.5"], "argument --seeds: '1.5' is not a number from 1 on"),
        (["--first-seed", ""], "argument --first-seed: '' is not a number from 0 on"),
        (["--seed"], "argument --seed: expected one argument"),
        (["--kinds", "plain,round"], f"argument --kinds: 'round' is none of {', '.join(KINDS)}"),
        (["--seed", "0", "--seeds", "5"], "--seed is one seed: it goes without --seeds, --first-seed and --kinds"),
        (["--step", "5"], "unrecognized arguments: --step 5"),
        (["17"], "unrecognized arguments: 17"),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line_and_ends_with_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert capsys.readouterr().err == f"python -m tests.explorer: {said}\n"


def test_an_unknown_defect_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--plant", "nothing"])
    assert end.value.code == 2
    assert "'nothing'" in capsys.readouterr().err


def test_a_violation_ends_with_1_and_its_command_finds_it_again() -> None:
    long = run("--seeds", "3", "--steps", "300", "--plant", "no_claim", hash_seed="1")
    assert long.returncode == 1, long.stderr
    *findings, summary = re.split(r"^(?=seed \d|\d+ seeds)", long.stdout, flags=re.MULTILINE)[1:]
    assert len(findings) == 3 and summary.endswith(" 3 violations\n")
    command = re.findall(r"^again: (.*)$", findings[1], re.MULTILINE)[0]
    again = run(*shlex.split(command)[3:], hash_seed="2")
    assert again.returncode == 1, again.stderr
    # The last line tells how fast it was.
    assert again.stdout.splitlines()[:-1] == findings[1].splitlines()


def test_a_finding_tells_what_was_done_and_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "0", "--steps", "300", "--plant", "no_claim"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"seed 0 \(plain\), \d+ actions: I4: create of \S+ without a claim", lines[0])
    assert any(re.search(r"\d s  create_\w+\(\d+, \d+\)$", line) for line in lines)
    assert any("people: POST /api" in line and line.endswith("→ 201") for line in lines)
    assert lines[-3].endswith(lines[0].partition("actions: ")[2])
    assert lines[-2] == "again: python -m tests.explorer --seed 0 --steps 300 --plant no_claim"


def test_the_whole_run_is_printed_when_it_is_not_to_be_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "0", "--steps", "300", "--plant", "no_claim", "--no-shrink"]) == 1
    lines = capsys.readouterr().out.splitlines()
    count = int(re.findall(r"(\d+) actions", lines[0])[0])
    assert lines[1 : count + 1] == [f"  {action}" for action in actions_of(0, 300)[:count]]


def test_a_defect_of_the_command_is_planted_no_longer_than_it_runs() -> None:
    assert main(["--seed", "0", "--steps", "300", "--plant", "no_claim"]) == 1
    assert main(["--seed", "0", "--steps", "300"]) == 0


def _shortened(name: str) -> Found:
    for seed in seeds_of(DEFECTS[name].kinds, 0, 20):
        found = explore(seed, 300)
        if found is not None:
            return found
    raise AssertionError(f"{name} was not found")


@pytest.mark.parametrize("name", ["no_claim", "release_before_delete", "conditions_of_others_are_replaced"])
def test_a_finding_is_shortened_and_can_be_replayed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    DEFECTS[name].plant(monkeypatch)
    found = _shortened(name)
    assert len(found.actions) <= FEW_ACTIONS
    violation, done = replay(found.seed, found.actions)
    assert violation is not None and (violation.rule, str(violation)) == (found.rule, found.text)
    assert done == len(found.actions)
    # Nothing can be left out.
    for position in range(len(found.actions)):
        shorter = [*found.actions[:position], *found.actions[position + 1 :]]
        left = replay(found.seed, shorter)[0]
        assert left is None or left.rule != found.rule


def test_the_same_seed_is_the_same_run() -> None:
    assert explore(5, 300) == explore(5, 300)
    assert actions_of(5, 300) == actions_of(5, 600)[:300]


def test_seeds_can_be_taken_of_some_kinds_only() -> None:
    seeds = seeds_of(("crowd", "odd"), 7, 10)
    assert seeds[0] >= 7 and len(seeds) == 10
    assert {layout_of(seed).kind for seed in seeds} == {"crowd", "odd"}


def test_an_exception_of_the_daemon_is_a_violation_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Starting, *arguments: object) -> None:
        raise TypeError("a mistake")

    monkeypatch.setattr(Starting, "begin", fail)
    found = explore(0, 300, shrink=False)
    assert found is not None and found.rule == DEFECT
    assert "TypeError: a mistake at" in found.text
    assert all(DEFECT not in defect.rules for defect in DEFECTS.values())
