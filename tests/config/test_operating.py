"""The administrator's page names what there is: every key, every command, every metric and front matter key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from config.settings import Settings
from syndicator.cli.app import make_cli
from syndicator.metrics import Metrics
from syndicator.sources.fields import KEYS
from syndicator.sources.rows import NEEDED, OPTIONAL

PAGE = (Path(__file__).parents[2] / "docs/operating.md").read_text(encoding="utf-8")


def sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings' own classes in a field's type, however they are wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not None or isinstance(annotation, UnionType | type(Union)):
        for inner in get_args(annotation):
            yield from sections(inner)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = list(sections(field.annotation))
        if not inner or get_origin(field.annotation) is tuple:
            yield key
        for section in inner:
            yield from keys(section, f"{key}.")


def table() -> set[str]:
    return set(re.findall(r"^\| `([a-z_.]+)` \|(?:[^|]*\|){3}$", PAGE, re.MULTILINE))


def test_the_table_has_every_key_of_the_settings_and_no_other():
    assert table() == set(keys(Settings))


def test_the_walk_over_the_settings_finds_lists_of_tables_and_aliases():
    assert {"sources.withdraw_missing", "sources.query", "telegram.channels.filter", "email.from"} <= set(
        keys(Settings)
    )


@pytest.mark.parametrize("key", [*KEYS, *NEEDED, *OPTIONAL])
def test_every_key_of_a_document_and_column_of_a_query_is_named(key):
    front_matter = re.search(r"```yaml\n---\n(.*?)---\n```", PAGE, re.DOTALL)
    assert front_matter is not None
    assert re.search(rf"^{key}:", front_matter[1], re.MULTILINE) or f"`{key}`" in PAGE


def test_every_command_is_shown():
    wiring: Any = None  # nothing is run, only listed
    app = make_cli(wiring)
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    for group in app.registered_groups:
        names |= {f"{group.name} {command.name}" for command in group.typer_instance.registered_commands}
    assert len(names) > 10
    assert {name for name in names if f"\nsyndicator {name}" not in PAGE} == set()


def test_every_metric_is_named():
    registry: CollectorRegistry = Metrics().registry
    for family in registry.collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"`{name}" in PAGE
