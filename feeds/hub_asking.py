"""What somebody asks of the hub, read from a form: WebSub section 5.1, and the `publish` of older publishers.

Rules, in order:

1. `hub.mode` is subscribe, unsubscribe or publish. Parameters that are not known here are ignored (section 5.1).
2. `hub.topic` is a topic of ours. `hub.callback` is an http or https address that may be called, and not ours; its
   query is kept as it is (section 5.1.1).
3. `hub.lease_seconds` is a whole number, brought within bounds; ten days where none is named (section 8.2).
4. `hub.secret` has fewer than 200 bytes (section 5.1.1). No refusal ever repeats it.
5. No field holds control characters.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Mapping
from urllib.parse import urlsplit

from yarl import URL

from feeds.hub_topics import BadTopic, Topics
from syndicator.domain.hosts import domain_of, host_of
from syndicator.net import Forbidden, Networks, checked
from syndicator.store.hub_requests import Mode, Wish

__all__ = ["DEFAULT_LEASE", "LONGEST_LEASE", "SHORTEST_LEASE", "BadAsking", "challenge", "read_asking"]

DEFAULT_LEASE = 10 * 86_400
SHORTEST_LEASE = 300
LONGEST_LEASE = 30 * 86_400
LONGEST_CALLBACK = 1000  # characters; callbacks stand in unique keys
SECRET_BYTES = 200

PUBLISH = "publish"
FIELDS = ("hub.topic", "hub.secret", "hub.lease_seconds")  # `net.checked` looks at the callback


class BadAsking(ValueError):
    """One clear line for who asked, and the HTTP status."""

    def __init__(self, line: str, status: int = 400) -> None:
        super().__init__(line)
        self.status = status


def challenge() -> str:
    """What a callback must say back: nobody can guess it."""
    return secrets.token_urlsafe(32)


def read_asking(form: Mapping[str, str], topics: Topics, own: str, allow: Networks, *, asker: str = "") -> Wish | None:
    """The wish in a form; None for a `publish`, which tells us nothing. `own` is the site's address.

    Raises:
        BadAsking: it breaks a rule.
    """
    mode = form.get("hub.mode", "")
    if mode == PUBLISH:
        return None
    if mode not in (Mode.SUBSCRIBE, Mode.UNSUBSCRIBE):
        raise BadAsking("hub.mode: subscribe, unsubscribe and publish are allowed")
    for name in FIELDS:
        if any(unicodedata.category(sign) == "Cc" for sign in form.get(name, "")):
            raise BadAsking(f"{name}: control characters are not allowed")
    url = _callback(form.get("hub.callback", ""), own, allow)
    try:
        topic = topics.name_of(form.get("hub.topic", ""))
    except BadTopic as error:
        raise BadAsking(str(error), error.status) from None
    secret, host = form.get("hub.secret", ""), host_of(url.host or "")
    if len(secret.encode()) >= SECRET_BYTES:
        raise BadAsking(f"hub.secret: fewer than {SECRET_BYTES} bytes are allowed")
    return Wish(
        mode=Mode(mode),
        topic=topic,
        callback=form["hub.callback"],
        host=host,
        domain=domain_of(host),
        asker=asker,
        secret=secret if mode == Mode.SUBSCRIBE else "",
        lease_seconds=_lease(form.get("hub.lease_seconds", "")),
    )


def _callback(address: str, own: str, allow: Networks) -> URL:
    if not address:
        raise BadAsking("hub.callback: an address such as https://reader.example.org/callback is needed")
    if len(address) > LONGEST_CALLBACK:
        raise BadAsking(f"hub.callback: at most {LONGEST_CALLBACK} characters are allowed")
    if "#" in address:
        raise BadAsking("hub.callback: an address without a fragment is allowed")
    try:
        url = checked(address, allow)
    except Forbidden as error:
        raise BadAsking(f"hub.callback: {error}") from None
    if urlsplit(own).hostname == (url.host or "").lower().rstrip(".") and URL(own).port == url.port:
        raise BadAsking("hub.callback: the hub does not call itself")
    return url


def _lease(text: str) -> int:
    if not text:
        return DEFAULT_LEASE
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise BadAsking("hub.lease_seconds: a whole number of seconds is allowed")
    return min(max(int(text), SHORTEST_LEASE), LONGEST_LEASE)
