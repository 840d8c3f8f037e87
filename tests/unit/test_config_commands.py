"""Tables of options of the commands: flags that may be repeated, flags in one letter, and keys that may be missing."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import pytest

from virtual_kubelet_salad import config
from virtual_kubelet_salad import config_values as values
from virtual_kubelet_salad.api_key import ApiKeySource
from virtual_kubelet_salad.config_options import (
    CHECK_OPTIONS,
    CLEANUP_OPTIONS,
    DAEMON_OPTIONS,
    GPU_CLASSES_OPTIONS,
    RENDER_OPTIONS,
    Option,
    flag_table_markdown,
)

SECRET = "hunter2hunter2"
OPTIONS = (
    Option("--number", "N", values.whole_number(1, 9), None, "numbers", short="-n", is_repeatable=True),
    Option("--word", "WORD", values.one_of("a", "b"), "a", "a word", short="-w"),
    *(option for option in DAEMON_OPTIONS if option.flag.startswith("--sce-api-key")),
)


def parsed(*argv: str, needs_key: bool = False, environ: dict[str, str] | None = None) -> dict[str, Any]:
    return config.parse_options(OPTIONS, argv, environ or {}, program="p", description="d", needs_key=needs_key)


def problems_of(*argv: str, needs_key: bool = False) -> tuple[str, ...]:
    with pytest.raises(config.ConfigProblems) as raised:
        parsed(*argv, needs_key=needs_key)
    return raised.value.problems


@pytest.mark.parametrize(
    ("argv", "numbers"),
    [
        ((), ()),
        (("--number", "1"), (1,)),
        (("-n", "1", "--number=2", "-n3"), (1, 2, 3)),
    ],
)
def test_an_option_may_be_repeatable(argv: Sequence[str], numbers: tuple[int, ...]) -> None:
    assert parsed(*argv)["number"] == numbers


def test_a_variable_gives_one_and_flags_win_over_it() -> None:
    environ = {"SALAD_VK_NUMBER": "5"}
    assert parsed(environ=environ)["number"] == (5,)
    assert parsed("-n", "1", "--number", "2", environ=environ)["number"] == (1, 2)


def test_each_of_several_is_checked_and_none_is_repeated() -> None:
    problem = "--number (SALAD_VK_NUMBER): must be a whole number from 1 to 9"
    assert problems_of("-n", SECRET, "-n", "2", "-n", "10") == (problem,)
    assert problems_of("-n", "1", "-n") == ("--number (SALAD_VK_NUMBER): needs a value",)


def test_a_flag_in_one_letter_is_the_flag() -> None:
    assert parsed("-w", "b")["word"] == "b"
    assert problems_of("-w", SECRET) == ("--word (SALAD_VK_WORD): must be one of a, b",)
    assert parsed()["word"] == "a"


def test_a_key_becomes_a_source_or_none_where_it_is_not_needed() -> None:
    assert parsed()["api_key"] is None
    source = parsed("--sce-api-key", "the-key")["api_key"]
    assert isinstance(source, ApiKeySource) and source.api_key() == "the-key"
    assert not {"sce_api_key", "sce_api_key_file"} & set(parsed())


def test_a_key_that_is_needed_is_asked_for() -> None:
    (problem,) = problems_of(needs_key=True)
    assert problem.endswith("one is required")


def test_a_wrong_key_is_a_problem_where_it_is_not_needed() -> None:
    (problem,) = problems_of("--sce-api-key", f"{SECRET} with blanks")
    assert problem.startswith("--sce-api-key") and SECRET not in problem


@pytest.mark.parametrize("options", [RENDER_OPTIONS, GPU_CLASSES_OPTIONS, CLEANUP_OPTIONS, CHECK_OPTIONS])
def test_the_commands_share_the_daemons_variables(options: tuple[Option, ...]) -> None:
    daemon = {option.flag: option.environment_variable for option in DAEMON_OPTIONS}
    shared = [option for option in options if option.flag in daemon and option.flag.startswith("--sce-")]
    assert shared
    assert all(option.environment_variable == daemon[option.flag] for option in shared)
    assert len({option.flag for option in options}) == len(options)


DAEMONS_FILE = """
# as the daemon reads it
sce-organization-name = acme
sce-project-name = production
nodename = gpu
workers = 4
no-leader-elect
taint-key = example.com/gpu
"""


@pytest.mark.parametrize("options", [CLEANUP_OPTIONS, CHECK_OPTIONS], ids=["cleanup", "check"])
def test_a_command_about_a_daemon_reads_the_daemons_config_file(
    options: tuple[Option, ...], tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "daemon.conf"
    file.write_text(DAEMONS_FILE)
    node = "node" if options is CLEANUP_OPTIONS else "nodename"

    def read(*argv: str, **environ: str) -> dict[str, Any]:
        argv = ("--config", str(file), "--sce-api-key", "the-key", *argv)
        return config.parse_options(options, argv, environ, program="p", description="d")

    found = read()
    assert (found["sce_organization_name"], found["sce_project_name"], found[node]) == ("acme", "production", "gpu")
    assert not {"workers", "leader_elect", "taint_key", "config"} & set(found)
    assert read(f"--{node}", "other")[node] == "other"
    assert read("--nodename", "other")[node] == "other"
    assert read(SALAD_VK_NODE_NAME="other")[node] == "other"
    file.write_text(f"{DAEMONS_FILE}wrokers = {SECRET}\nsce-api-url\n")
    with pytest.raises(config.ConfigProblems) as raised:
        read()
    assert raised.value.problems == (
        "config file, line 9: unknown key, did you mean --workers?",
        "config file, line 10: --sce-api-url needs a value",
    )


def test_the_table_shows_both_names_of_a_flag() -> None:
    assert "| `-n --number N` | `SALAD_VK_NUMBER` | none | numbers |" in flag_table_markdown(OPTIONS)


@pytest.mark.parametrize(
    "text", ["", "a", "default/db", "default/db/key", "default/db=x", "/db/key=x", "a/b/c/d=x", "DEFAULT/db/key=x"]
)
def test_what_is_no_value_of_a_secret_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(values.BadValue, match=r"^must be NAMESPACE/NAME/KEY=VALUE$"):
        values.secret_value(text)


def test_the_value_of_a_secret_may_hold_anything_and_is_not_in_its_repr() -> None:
    value = values.secret_value(f"default/db/.dockerconfigjson={SECRET}=/=")
    assert value == ("default", "db", ".dockerconfigjson", f"{SECRET}=/=")
    assert SECRET not in repr(value) and SECRET not in str(value)
