"""The web server as a part of the running service: opens its port at start, lets requests finish at stop."""

from __future__ import annotations

import structlog
from aiohttp import web

__all__ = ["WebServer"]

log = structlog.get_logger()

FINISH_SECONDS = 5.0


class WebServer:
    """Serves one application on one address. `port` 0 takes a free one, told by `address` once it runs."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=FINISH_SECONDS)
        self._host = host
        self._port = port

    async def start(self) -> None:
        """Open the port.

        Raises:
            OSError: the port is taken or may not be opened; the line names it.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            raise OSError(f"web.port: {self._host}:{self._port} cannot be opened: {error.strerror}") from None
        log.info("serving", address=self.address)

    async def stop(self) -> None:
        """Take no new request, finish those at work, close."""
        await self._runner.cleanup()

    @property
    def address(self) -> str:
        """Where it listens, as http://host:port."""
        host, port = next(iter(self._runner.addresses))[:2]
        return f"http://{host}:{port}"
