"""A command's tests see neither the variables of the developer's shell nor each other's logging."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def own_process_settings(process_settings_are_restored: None) -> None:
    """For every test here."""
