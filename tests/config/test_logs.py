"""What the log looks like, whoever writes into it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

WRITES = """
import logging, structlog
from config.logs import set_up_logs
set_up_logs()
logging.getLogger("psycopg").warning("closing %s", "a line")
logging.getLogger("psycopg").info("of no interest")
try:
    raise OSError("gone")
except OSError:
    logging.getLogger("asyncio").exception("a library's fault")
    structlog.get_logger().exception("ours", part="belt")
"""


def test_each_line_has_one_form_whoever_wrote_it():
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", WRITES], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "closing a line"),
        ("error", "a library's fault"),
        ("error", "ours"),
    ]
    assert [line.get("logger") for line in lines] == ["psycopg", "asyncio", None]
    assert ["OSError: gone" in line.get("exception", "") for line in lines] == [False, True, True]
