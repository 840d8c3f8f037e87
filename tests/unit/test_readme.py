"""README.md says what the code does: tables, flags, commands and manifests."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import yaml

from tests.update_readme import README, with_generated_parts
from virtual_kubelet_salad.config_options import (
    CHECK_OPTIONS,
    CLEANUP_OPTIONS,
    DAEMON_OPTIONS,
    GPU_CLASSES_OPTIONS,
    RENDER_OPTIONS,
)
from virtual_kubelet_salad.saladcloud.owner import SALAD_VK_OWNER
from virtual_kubelet_salad.sandbox import command

TEXT = README.read_text()
ROOT = README.parent


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", TEXT, re.DOTALL | re.MULTILINE)
    return ["\n".join(line.removeprefix(indent) for line in body.splitlines()) for indent, body in found]


def test_the_generated_tables_are_those_of_the_code() -> None:
    assert with_generated_parts(TEXT) == TEXT, "run python -m tests.update_readme"


def test_a_readme_without_the_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="flags"):
        with_generated_parts("nothing")


def test_generating_replaces_what_stands_between_the_markers() -> None:
    stale = TEXT.replace("`--nodename NAME`", "`--old-name`")
    assert stale != TEXT
    assert with_generated_parts(stale) == with_generated_parts(TEXT)


def test_every_flag_that_is_mentioned_exists() -> None:
    prose = "\n".join(line for line in TEXT.splitlines() if not line.startswith("|"))
    mentioned = set(re.findall(r"`(--[a-z-]+)", prose))
    assert mentioned
    tables = (DAEMON_OPTIONS, CLEANUP_OPTIONS, CHECK_OPTIONS, RENDER_OPTIONS, GPU_CLASSES_OPTIONS, command.OPTIONS)
    assert mentioned <= {option.flag for table in tables for option in table} | {"--help"}


def test_every_variable_that_is_mentioned_exists() -> None:
    mentioned = set(re.findall(r"`(SALAD_[A-Z_]+)`", TEXT))
    tables = (DAEMON_OPTIONS, CLEANUP_OPTIONS, CHECK_OPTIONS, RENDER_OPTIONS, GPU_CLASSES_OPTIONS)
    assert mentioned <= {option.environment_variable for table in tables for option in table} | {SALAD_VK_OWNER}


@pytest.mark.parametrize("marker", ["sandbox-command", "test-command"])
def test_the_two_commands_are_one_line_each(marker: str) -> None:
    (command,) = re.findall(rf"<!-- {marker} -->\n```sh\n(.*?)```", TEXT, re.DOTALL)
    assert command.count("\n") == 1


def test_every_file_that_is_mentioned_exists() -> None:
    paths = set(re.findall(r"\bdeploy/[\w/.-]+\w", TEXT)) | set(re.findall(r"\]\(([A-Za-z][\w/.-]*)\)", TEXT))
    assert paths
    for path in paths:
        assert (ROOT / path).exists(), path


def test_every_link_within_leads_to_a_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]*)\)", TEXT))
    assert links and links <= anchors


def test_every_yaml_block_can_be_read() -> None:
    documents: list[Any] = [yaml.safe_load(block) for block in blocks("yaml")]
    assert len(documents) >= 3
    assert all(isinstance(document, dict) for document in documents)


def test_the_license_is_apache_2() -> None:
    text = pathlib.Path(ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
