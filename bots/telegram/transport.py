"""The line to the Bot API: aiohttp under python-telegram-bot, with errors that say whether anything was sent.

Rules, in order:

1. What failed before the request was written (refused, no such host, no free connection, a bad certificate) is
   `NotSent`: repeating it cannot say a thing twice. Any other break is `Lost`: nobody can tell.
2. A 4xx that is not the Bot API's own JSON comes from a proxy in between; the request never reached Telegram. Where it
   blames the size (413), that is `TooLarge`, and sending it again is no use.
3. 429 is `Flooded`, with the seconds from the body, else from Retry-After, else half a minute.
4. A 2xx that is the Bot API's JSON but brings no result is `Lost` too: something was done, and nobody can tell what.
5. An address holds the token, so no exception of the library below passes: each becomes one of ours, in our words.
6. Who may not speak for the bot any more (`tenure`) says nothing: asked before the call, and again once there is a
   connection, with nothing but the writing still to come.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
from telegram.error import NetworkError, RetryAfter, TelegramError, TimedOut
from telegram.request import BaseRequest, RequestData

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["AiohttpRequest", "Flooded", "Lost", "LostInTime", "NotOurs", "NotSent", "TooLarge", "hide_token"]

_DEFAULT_WAIT = 30
_TOO_LARGE = 413
_JSON = {"Content-Type": "application/json"}
_LIBRARY_LOGGERS = ("telegram.Bot", "telegram.ext.ExtBot", "telegram.ext.Application", "telegram.request.BaseRequest")
_BEFORE = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
)


class NotSent(NetworkError):
    """Nothing was sent."""

    __slots__ = ()


class NotOurs(NotSent):
    """Another process may be the bot by now; nothing was sent."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("this process speaks for the bot no longer")


class TooLarge(NetworkError):
    """Something in between takes no request of that size; nothing was sent."""

    __slots__ = ()


class Lost(NetworkError):
    """The line broke after the request had been written."""

    __slots__ = ()


class LostInTime(TimedOut):
    """The request was written and no answer came in time."""

    __slots__ = ()


class Flooded(RetryAfter):
    """429, with the time to wait."""

    __slots__ = ()

    def __init__(self, seconds: float) -> None:
        # RetryAfter's own constructor reads an attribute that warns of its deprecation.
        TelegramError.__init__(self, f"Too many requests: wait {seconds:g} s")
        self._retry_after = timedelta(seconds=seconds)

    @property
    def seconds(self) -> float:
        """How long to wait."""
        return self._retry_after.total_seconds()


def _always() -> bool:
    return True


class AiohttpRequest(BaseRequest):
    """One pool of connections; `total` and `connect` are seconds. Opens itself at the first request.

    `may` says whether this process speaks for the bot (rule 6).
    """

    def __init__(
        self, *, pool: int = 8, total: float = 30, connect: float = 10, may: Callable[[], bool] = _always
    ) -> None:
        self._pool = pool
        self._total = total
        self._connect = connect
        self._may = may
        self._session: aiohttp.ClientSession | None = None

    @property
    def read_timeout(self) -> float | None:
        """Seconds that an answer may take; a long poll adds its own."""
        return self._total

    async def initialize(self) -> None:
        """Nothing: the session opens at the first request."""

    async def shutdown(self) -> None:
        """Close the connections; safe to call twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = BaseRequest.DEFAULT_NONE,
        write_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002  # the total covers it
        connect_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002  # set for the pool
        pool_timeout: Any = BaseRequest.DEFAULT_NONE,  # noqa: ARG002  # part of connecting
    ) -> tuple[int, bytes]:
        """One call; see BaseRequest.

        Raises:
            NotSent, NotOurs, TooLarge, Lost, LostInTime, Flooded: see the module's rules.
        """
        if not self._may():
            raise NotOurs
        total = read_timeout if isinstance(read_timeout, int | float) else self._total
        timeout = aiohttp.ClientTimeout(total=total + self._connect, connect=self._connect, sock_read=total)
        try:
            body, headers = _body(request_data)
            async with self._opened().request(
                method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                payload = await response.read()
        except _BEFORE as error:
            raise NotSent(_told(error)) from None
        except TimeoutError:
            raise LostInTime("no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(_told(error)) from None
        _check(response.status, payload, response.headers.get("Retry-After", ""))
        return response.status, payload

    @staticmethod
    def parse_json_payload(payload: bytes) -> Any:
        """The answer; without the library's habit of logging what it cannot read.

        Raises:
            TelegramError: it is not a JSON object.
        """
        found = _json(payload)
        if found is None:
            raise TelegramError("the answer is not JSON")
        return found

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = _Gate(self._may, limit=self._pool, keepalive_timeout=15)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session


class _Gate(aiohttp.TCPConnector):
    """Gives a connection to whom may still speak when there is one (rule 6)."""

    def __init__(self, may: Callable[[], bool], *, limit: int, keepalive_timeout: float) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout)
        self._may = may

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:  # noqa: ASYNC109  # the library's name
        """A connection.

        Raises:
            NotOurs: there is one, and nothing may be said.
        """
        connection = await super().connect(req, traces, timeout)
        if not self._may():
            connection.release()
            raise NotOurs
        return connection


def _body(data: RequestData | None) -> tuple[aiohttp.FormData | bytes | None, dict[str, str]]:
    """Files make it a form; everything else is one JSON value, which is a third of the work."""
    if data is None:
        return None, {}
    if not data.contains_files:
        return data.json_payload, _JSON
    form = aiohttp.FormData(data.json_parameters)
    for name, (filename, content, media_type) in (data.multipart_data or {}).items():
        form.add_field(name, content, filename=filename, content_type=media_type)
    return form, {}


def _told(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or ""
    name = type(error).__name__
    return f"{name}: {reason}" if isinstance(reason, str) and reason and "://" not in reason else name


def _check(status: int, payload: bytes, retry_after: str) -> None:
    if status >= 500:
        return
    answer = _json(payload)
    if status < 300:
        if answer is not None and "result" not in answer:
            raise Lost("the answer has no result")
        return
    if status == 429:
        parameters = (answer or {}).get("parameters")
        stated = parameters.get("retry_after") if isinstance(parameters, dict) else None
        raise Flooded(_seconds(stated, retry_after))
    if status == _TOO_LARGE and (answer is None or "error_code" not in answer):
        raise TooLarge("HTTP 413, Request Entity Too Large, from a proxy before telegram.api_root")
    if answer is None or "error_code" not in answer:
        raise NotSent(f"HTTP {status} from something that is not the Bot API; check telegram.api_root and the proxy")


def _seconds(stated: object, header: str) -> float:
    for value in (stated, header):
        try:
            seconds = float(str(value))
        except ValueError:
            continue
        if 0 < seconds < 10**7:
            return seconds
    return _DEFAULT_WAIT


def _json(payload: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(payload.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class _Veil(logging.Filter):
    """Takes a secret out of whatever a library logs."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret = secret

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record when the secret is in it; a traceback that tells it is dropped."""
        message = record.getMessage()
        if self.secret in message:
            record.msg, record.args = message.replace(self.secret, "<token>"), ()
        if record.exc_info and self.secret in logging.Formatter().formatException(record.exc_info):
            record.exc_info = record.exc_text = None
        return True


def hide_token(token: str) -> None:
    """Keep the token out of the library's own log lines."""
    for name in _LIBRARY_LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Veil) and one.secret == token for one in logger.filters):
            logger.addFilter(_Veil(token))
