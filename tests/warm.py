"""The program, loaded once and then copied (fork) for each start: loading it takes most of a short command's time.

1. A copy is a process like any other: with its own folder, environment, arguments and files, its own signals and end.
2. What is loaded is what `python main.py` loads, and nothing has run; real starts are left to the tests that are of
   starting (tests/journey/test_installed.py, the first release's journey) and to the benchmarks.
3. Who copies ends when the test process does.
4. A copy that is to die somewhere is armed here (tests/faulty/dying.py).
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
SIZE = struct.Struct("!Q")
LAST = struct.Struct("!q")


class Copy:
    """What `subprocess.Popen` is to a program that was started, for one that was copied."""

    def __init__(self, line: socket.socket, arguments: Sequence[str]) -> None:
        self.args, self.returncode, self._line = arguments, None, line
        (self.pid,) = LAST.unpack(_exactly(line, LAST.size))

    returncode: int | None

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """How it ended.

        Raises:
            subprocess.TimeoutExpired: it runs on after that many seconds.
        """
        ended = self._ended(timeout)
        if ended is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
        return ended

    def send_signal(self, number: int) -> None:
        """Nothing, where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._line, selectors.EVENT_READ)
                if not waiting.select(timeout):
                    return None
            (self.returncode,) = LAST.unpack(_exactly(self._line, LAST.size))
            self._line.close()
        return self.returncode


class Copier:
    """The loaded program of this test process."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        environ = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, __file__, str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT, env=environ)
        self._turn = threading.Lock()  # tests may start machines from several threads
        atexit.register(self.close)

    def start(
        self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str], files: Sequence[IO[bytes]]
    ) -> Copy:
        """Begin a copy with that standard input, output and error."""
        asked = json.dumps({"arguments": arguments, "folder": str(folder), "environ": dict(environ)}).encode()
        line, theirs = socket.socketpair()
        with theirs:
            handed = [theirs.fileno(), *(file.fileno() for file in files)]
            with self._turn:
                socket.send_fds(self._line, [SIZE.pack(len(asked))], handed)
                self._line.sendall(asked)
        return Copy(line, arguments)

    def close(self) -> None:
        """End who copies; copies that run, run on."""
        self._line.close()
        self._process.wait(10)


def _exactly(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = line.recv(size - len(found))
        if not part:
            raise ConnectionError("the one who copies the program has ended")
        found += part
    return found


# -- the process that copies itself
def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Returns what to do in a copy, and None when nobody asks any more."""
    waiting = selectors.DefaultSelector()
    waiting.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.data is not None:
                _report(waiting, key)
                continue
            head, handed, _, _ = socket.recv_fds(control, SIZE.size, 4)
            if not head:
                return None
            asked = json.loads(_exactly(control, SIZE.unpack(head)[0]))
            line = socket.socket(fileno=handed[0])
            pid = os.fork()
            if not pid:
                for other in list(waiting.get_map().values()):
                    _forget(other)
                waiting.close()
                line.close()
                _become(asked, handed[1:])
                return dict(asked)
            for number in handed[1:]:
                os.close(number)
            line.sendall(LAST.pack(pid))
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, line))


def _forget(key: selectors.SelectorKey) -> None:
    if key.data is None:
        key.fileobj.close()  # type: ignore[union-attr]
    else:
        os.close(key.fd)
        key.data[1].close()


def _report(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, line = key.data
    waiting.unregister(key.fileobj)
    os.close(key.fd)
    _, status = os.waitpid(pid, 0)
    with line:
        try:
            line.sendall(LAST.pack(os.waitstatus_to_exitcode(status)))
        except BrokenPipeError:
            return  # nobody waits for it any more


def _become(asked: dict[str, Any], files: Sequence[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    sys.argv = [str(ROOT / "main.py"), *asked["arguments"]]


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    import main  # noqa: TID251  # as `python main.py` does

    if threading.active_count() > 1:
        raise SystemExit("loading the program has started a thread: it cannot be copied")
    if (asked := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        if any(name.startswith("TEST_") for name in asked["environ"]):
            from tests.faulty.dying import arm

            arm(os.environ)
        main.main()
