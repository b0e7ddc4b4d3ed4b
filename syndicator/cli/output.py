"""What commands print: results for people or machines, words beside them, and a bar where something takes long.

Rules, in order:

1. Results go to standard output, everything else to standard error. With `--json` a command prints one JSON value and
   nothing more.
2. Rows are printed as they come: a list of any length needs no more memory than its first page.
3. What came from outside holds no control character when a terminal shows it.
4. A bar is shown only where a person looks on: on a terminal, and never with `--json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

__all__ = ["fail", "say", "show", "show_one", "stream", "working"]

SAMPLE = 200  # rows that decide how wide a column is
Row = Mapping[str, Any]


def fail(line: str) -> NoReturn:
    """End the command: one line on standard error, exit code 1."""
    typer.echo(f"syndicator: {line}", err=True)
    raise typer.Exit(1)


def say(line: str) -> None:
    """A word for the person, beside the results."""
    typer.echo(line, err=True)


def show(rows: Iterable[Row], *, as_json: bool, columns: Sequence[str]) -> None:
    """Print rows: as one JSON list with a row on each line, or as a table for people."""
    printer = _Json() if as_json else _Table(columns)
    for row in rows:
        printer.add(row)
    printer.end()


async def stream(rows: AsyncIterable[Row], *, as_json: bool, columns: Sequence[str]) -> None:
    """`show` for rows that come from the database."""
    printer = _Json() if as_json else _Table(columns)
    async for row in rows:
        printer.add(row)
    printer.end()


def show_one(value: Row, line: str, *, as_json: bool) -> None:
    """Print what a command did: as one JSON value, or as one line for people."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain) if as_json else line)


class _Json:
    """A JSON list, a row on each line."""

    def __init__(self) -> None:
        self._before = "["

    def add(self, row: Row) -> None:
        sys.stdout.write(f"{self._before}\n{json.dumps(row, ensure_ascii=False, default=_plain)}")
        self._before = ","

    def end(self) -> None:
        sys.stdout.write("\n]\n" if self._before == "," else "[]\n")
        sys.stdout.flush()


class _Table:
    """Columns as wide as the first rows need."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._sample: list[list[str]] = []
        self._widths: list[int] = []

    def add(self, row: Row) -> None:
        cells = [_cell(row.get(column)) for column in self._columns]
        if self._widths:
            self._write(cells)
            return
        self._sample.append(cells)
        if len(self._sample) >= SAMPLE:
            self._begin()

    def end(self) -> None:
        if not self._widths:
            self._begin()
        sys.stdout.flush()

    def _begin(self) -> None:
        rows = [list(self._columns), *self._sample]
        self._widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for cells in rows:
            self._write(cells)
        self._sample = []

    def _write(self, cells: Sequence[str]) -> None:
        padded = (cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "" if value is None else str(_plain(value))
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value if isinstance(value, (str, int, float, bool, dict, list)) else str(value)


@contextmanager
def working(what: str, *, total: float | None = None, quiet: bool = False) -> Iterator[Callable[[float], None]]:
    """A bar on standard error; the function it gives moves it on by so many steps."""
    if quiet or not sys.stderr.isatty():
        yield lambda _steps: None
        return
    known = TaskProgressColumn() if total is not None else TextColumn("{task.completed:,.0f}")
    columns = (TextColumn("{task.description}"), BarColumn(), known, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)
