"""Readers: 2,000 of them poll a feed with what they got last, over and over, while releases change now and then.

Every answer must be a 200 or a 304 that fits, and neither memory nor open files of the service may grow from round to
round. Two readers of three keep their connection, the third comes anew each time, as clients do.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop

from tests.bench.figures import Figure
from tests.bench.newsroom import text_of
from tests.program import Program, make_program, wait_for

__all__ = ["measure"]

READERS = 2000
ROUNDS = 16
WARM = 6  # rounds until everything that is kept once is there
CHANGE_EVERY = 4  # rounds
ANSWER_SECONDS = 30.0
AT_ONCE = 200  # readers whose request is under way at a time
FEEDS = ("/feeds/en/all.rss", "/feeds/en/all.atom", "/feeds/en/all.json")


@dataclass
class Reader:
    """One reader, and what it remembers. `seen` counts answers by what they were."""

    number: int
    port: int
    seen: Counter[str]
    etag: str = ""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None, repr=False)

    async def poll(self) -> None:
        """Ask for the feed as a polite reader does."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self.seen[await self._ask()] += 1
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.seen[f"error: {type(error).__name__}"] += 1
            self.leave()

    async def _ask(self) -> str:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        lines = [f"GET {FEEDS[self.number % len(FEEDS)]} HTTP/1.1", "Host: press.example.org", "Accept-Encoding: gzip"]
        lines += [f"If-None-Match: {self.etag}"] if self.etag else []
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        told = dict(line.lower().split(": ", 1) for line in head[1:-2])
        status = head[0].split()[1]
        if status == "200":
            body = await reader.readexactly(int(told["content-length"]))
            fits = body[:2] == b"\x1f\x8b" and told["etag"] != self.etag
        else:
            fits = status == "304" and told["etag"] == self.etag
        self.etag = told["etag"]
        if self.number % 3 == 0:
            self.leave()
        return status if fits else f"error: unfit {status}"

    def leave(self) -> None:
        """Close the connection, if there is one."""
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


def measure(folder: Path) -> Iterator[Figure]:
    """All rounds against one service."""
    _allow_files(READERS + 200)
    program = make_program(folder)
    for number in range(50):
        program.write(f"r{number}.en.txt", text_of(f"Release number {number:03}"))
    try:
        program.start()
        wait_for(lambda: len(program.feed()["items"]) == 50, "the feed")
        time.sleep(1)
        yield from uvloop.run(_rounds(program))
    finally:
        if program.process is not None and not program.dead():
            program.kill()


async def _rounds(program: Program) -> list[Figure]:
    assert program.process is not None
    process, seen = psutil.Process(program.process.pid), Counter[str]()
    readers = [Reader(number, program.port, seen) for number in range(READERS)]
    memory, files = [], []
    begun = time.monotonic()
    for turn in range(ROUNDS):
        if turn and turn % CHANGE_EVERY == 0:
            await asyncio.to_thread(_change, program, turn)
        gate = asyncio.Semaphore(AT_ONCE)

        async def poll(one: Reader, gate: asyncio.Semaphore = gate) -> None:
            async with gate:
                await one.poll()

        await asyncio.gather(*(poll(one) for one in readers))
        memory.append(process.memory_info().rss / 1e6)
        files.append(process.num_fds())
    seconds = time.monotonic() - begun
    for one in readers:
        one.leave()
    errors = {name: count for name, count in seen.items() if name.startswith("error")}
    asked = f"{READERS:,} readers, {ROUNDS} rounds, {seen['200']:,} whole, {seen['304']:,} unchanged"
    warm = min(WARM, ROUNDS - 1)
    grown = f"after round {warm}: {memory[warm - 1]:.0f} MB"
    return [
        Figure(f"{asked}: errors", str(errors or 0), "must be 0"),
        Figure("polls a second, the client's part included", f"{READERS * ROUNDS / seconds:,.0f}/s"),
        Figure("memory of the service in the last round", f"{memory[-1]:.0f} MB", grown, memory[-1] / memory[warm - 1]),
        Figure(
            "files open in the service in the last round",
            str(files[-1]),
            f"after round {warm}: {files[warm - 1]}",
            files[-1] / files[warm - 1],
        ),
    ]


def _change(program: Program, turn: int) -> None:
    title = f"Changed in round {turn}"
    program.write("r7.en.txt", text_of(title))
    wait_for(lambda: title in program.text(FEEDS[0]), "the change")


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
