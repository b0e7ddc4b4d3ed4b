"""Front matter: the YAML block between two lines of `---` at the head of a document.

Rules, in order:

1. python-frontmatter finds the block; a block that never closes is an error, not a text.
2. PyYAML reads it with a safe loader that is narrower still: every scalar is a text (so `lang: no`, `id: 2026-01-01`
   and `title: Yes` mean what they say), empty or null is nothing; no aliases, no tags, no key twice, little nesting.
3. Every error is one line that names the line of the file.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from frontmatter.default_handlers import YAMLHandler

from syndicator.domain.text import one_line

__all__ = ["BadDocument", "Heading", "split_heading"]

HEAD_LIMIT = 64_000  # characters
DEEPEST = 8

_NULL = "tag:yaml.org,2002:null"
_PLAIN = frozenset({_NULL, "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"})
# A longer line of dashes is an ornament.
_HANDLER = YAMLHandler(fm_boundary=re.compile(r"^---[ \t]*$", re.MULTILINE))


class BadDocument(ValueError):
    """One clear line: where in the document, and what is wrong."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The values by key, and the line of the file that each key stands on."""

    values: Mapping[str, object] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)


class _Values(dict[str, object]):
    """The outermost mapping, which remembers its keys' lines (from 0)."""

    lines: Mapping[str, int]


class _Loader(yaml.SafeLoader):
    """A safe loader for texts, lists and mappings, whose cost stays linear."""

    # Only null is told from a text by its looks.
    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own way to set it
        first: [(tag, looks) for tag, looks in rules if tag == _NULL]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # untyped in its stubs
        if self.check_event(yaml.AliasEvent):
            raise _error("an alias (*name) is not allowed; put a text that begins with * in quotes", mark)
        self.depth += 1
        if self.depth > DEEPEST:
            raise _error(f"at most {DEEPEST} levels of nesting are allowed", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is not None and node.tag not in _PLAIN:
            raise _error("a tag (!name) is not allowed; put a text that begins with ! in quotes", mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002  # as inherited
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error("a key is one word", key.start_mark)
            if key.value in seen:
                raise _error(f"{key.value}: given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_document(self, node: yaml.Node) -> Any:
        data = super().construct_document(node)
        if not isinstance(node, yaml.MappingNode):
            raise _error("lines such as `title: ...` are expected", node.start_mark)
        values = _Values({str(key): value for key, value in data.items()})
        values.lines = {str(key.value): key.start_mark.line for key, _ in node.value}
        return values


def _error(problem: str, mark: yaml.Mark | None) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def split_heading(text: str) -> tuple[Heading, str]:
    """The front matter and the rest; an empty heading where the document has none.

    Raises:
        BadDocument: the block is there and cannot be read.
    """
    body = text.lstrip()
    if not _HANDLER.detect(body):
        return Heading(), text
    first = text.count("\n", 0, len(text) - len(body)) + 1
    try:
        block, content = _HANDLER.split(body)
    except ValueError:
        raise BadDocument(f"line {first}: the front matter opens with --- and never closes") from None
    if len(block) > HEAD_LIMIT:
        raise BadDocument(
            f"line {first}: the front matter has {len(block):,} characters; at most {HEAD_LIMIT:,} are taken"
        )
    try:
        values = _HANDLER.load(block, Loader=_Loader)
    except yaml.YAMLError as error:
        raise BadDocument(_one_line(error, block, first)) from None
    if values is None:
        return Heading(), content
    return Heading(values, {key: first + line for key, line in values.lines.items()}), content


def _one_line(error: yaml.YAMLError, block: str, first: int) -> str:
    """PyYAML's many lines as one. `first` is the line of the opening ---, on which the block begins."""
    if isinstance(error, yaml.reader.ReaderError):
        line = first + block.count("\n", 0, error.position)
        return f"line {line}: front matter is not YAML: a character that is not allowed"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"line {first + mark.line}" if mark is not None else f"line {first}"
    if type(error) is yaml.MarkedYAMLError:
        return f"{where}: front matter: {one_line(error.problem or '')}"
    return f"{where}: front matter is not YAML: {one_line(str(getattr(error, 'problem', None) or error))}"
