"""The web server as a part of the service: it listens, and ends without cutting anybody off."""

from __future__ import annotations

from aiohttp import web

__all__ = ["WebServer"]

GRACE = 10.0  # seconds for answers under way when the service stops


class WebServer:
    """Serves an application on one address. `port` 0 takes a free one; `port` then says which."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        # No access log: an address may hold a token, and a visitor's address is nobody's business.
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=GRACE)
        self._host = host
        self.port = port

    async def start(self) -> None:
        """Listen. Raises OSError with one clear line where the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            reason = error.strerror or str(error)
            raise OSError(f"web: cannot listen on {self._host} port {self.port}: {reason}") from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, finish the answers under way; safe to call twice."""
        await self._runner.cleanup()
