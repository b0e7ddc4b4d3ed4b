"""The double with its limits on, for many people: a program that writes down what people get, and each 429.

`python metered.py FILE --people N` prints where it listens; people 7001 to 7000+N have written to the bot long ago.
`--delay S`: a call arrives half of it after it was made, and its answer half of it after it was given.
A line is `[seconds since 1970, chat, the text's first line]`, or `[seconds, scope, null]` for a 429.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[2])  # run as a program, it stands beside its own folder's modules

from tests.telegram.double import TelegramDouble
from tests.telegram.limits import Limits

FIRST = 7001


class Told(Limits):
    """Limits that tell of each 429."""

    def __init__(self, clock, tell):
        super().__init__(clock)
        self._tell = tell

    def ask(self, chat):
        before = self.flooded.copy()
        wait = super().ask(chat)
        if wait:
            ((scope, _),) = (self.flooded - before).items()
            self._tell([self.clock(), scope, None])
        return wait


class Metered(TelegramDouble):
    """The double, with an open file for what is written down."""

    def __init__(self, file, people, delay=0.0):
        super().__init__(limits=True)
        self._file, self._half = file, delay / 2
        self.limits.ask = Told(self.clock, self._tell).ask
        self.calls = deque(maxlen=100)  # nobody asks, and there are many
        self.started.update(range(FIRST, FIRST + people))

    async def _serve(self, request):
        if not self._half:
            return await super()._serve(request)
        await asyncio.sleep(self._half)
        try:
            return await super()._serve(request)
        finally:
            await asyncio.sleep(self._half)

    def put(self, number, **values):
        message = super().put(number, **values)
        if values.get("by") != "other":
            self._tell([self.clock(), number, message["text"].split("\n")[0]])
        return message

    def _tell(self, line):
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


async def _main(path, people, delay):
    with path.open("w", encoding="utf-8") as file:
        async with Metered(file, people, delay) as double:
            double.channel("@press", -1001)
            print(json.dumps({"api_root": double.url, "token": double.token}), flush=True)  # noqa: T201
            await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_main(options.file, options.people, options.delay))
