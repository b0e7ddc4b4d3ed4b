"""`python -m tests.bench [SECTION ...]`: measure, and print each figure beside a limit or a peer of the same run.

Figures of one machine say little about another; ratios say more. Nothing here fails for being slow: a test with a
stop-watch breaks on a busy machine and is soon ignored. See docs/measured.md for what they were.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from pathlib import Path

from tests.bench.figures import table

SECTIONS = (
    "arrival",
    "embargo",
    "fanout",
    "urgent",
    "email",
    "workers",
    "faults",
    "memory",
    "telegram",
    "feeds",
    "serving",
    "rendering",
    "cold",
    "readers",
    "start",
)


def main() -> None:
    """The sections that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    chosen = parser.parse_args().sections or SECTIONS
    if unknown := [name for name in chosen if name not in SECTIONS]:
        parser.error(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    for name in chosen:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
            for line in table(name, importlib.import_module(f"tests.bench.{name}").measure(Path(folder))):
                print(line, flush=True)  # noqa: T201  # the result
        print(f"  {'':<62} {time.monotonic() - begun:22.0f} s  for this section\n", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
