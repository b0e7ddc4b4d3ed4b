"""Fixtures for clusters: processes on a database of their own, and a relay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.running import Cluster


@pytest.fixture
def cluster(tmp_path: Path, postgresql_url: str) -> Iterator[Cluster]:
    """No machine is started yet; all end with the test."""
    found = Cluster(tmp_path, postgresql_url)
    yield found
    found.close()
