"""What a test needs of a machine that a newcomer's may lack: there it skips with the reason, and in CI it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["absent", "missing"]


def absent(reason: str) -> NoReturn:
    """Skip, or in CI fail: what is needed there is installed by `.ci/run`."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def missing(what: str, remedy: str) -> NoReturn:
    """A program that is not installed."""
    absent(f"{what} is not installed ({remedy})")
