"""An operator is told by mail: straight to the relay or into the outbox, whole, and without a word of a secret."""

from __future__ import annotations

import email
from contextlib import ExitStack
from datetime import UTC, datetime
from email.policy import default

import pytest
from aiosmtpd.controller import Controller

from bots.watch import alert_questions, open_heralds
from config.email import EmailSettings
from config.section import BadSettings
from config.settings import AlertSettings
from syndicator.pipeline.watching import Notice
from tests.offices import settings_of
from tests.program import MailSink, free_port

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOTICE = Notice(
    "press.example.org: release 12 has not reached email ə\r\nBcc: x@y", "- Bir, два, three\n- " + "x" * 2000
)


def herald(site, to="oncall@example.org", **values):
    said = settings_of(site).model_copy(
        update={
            "alerts": AlertSettings(email=to),
            "email": EmailSettings(**{"from": "news@press.example.org", **values}),
        }
    )
    (found,) = open_heralds(said, site, lambda: NOW)
    return found


@pytest.fixture
def relay():
    sink = MailSink()
    sink.start()
    yield sink
    sink.stop()


async def test_a_letter_reaches_the_relay_whole_as_from_a_machine_and_each_time_as_the_same(site, relay):
    told = herald(site, transport="smtp", host="127.0.0.1", port=relay.port, tls="none")
    await told.tell(NOTICE)
    await told.tell(NOTICE)
    first, second = relay.to("oncall@example.org")
    assert first["Subject"] == "press.example.org: release 12 has not reached email ə Bcc: x@y"
    assert first["Bcc"] is None
    assert first["From"] == "news@press.example.org"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Message-ID"] == second["Message-ID"]
    assert first.get_content().split() == NOTICE.text.split()


async def test_without_a_relay_it_lies_in_the_outbox(site, tmp_path):
    await herald(site, outbox=str(tmp_path)).tell(NOTICE)
    (file,) = tmp_path.glob("*.eml")
    mail = email.message_from_bytes(file.read_bytes(), policy=default)
    assert mail["To"] == "oncall@example.org"


class Refusing:
    """A relay that says no at one place."""

    def __init__(self, at):
        self.at = at

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802  # aiosmtpd's name
        return "550 5.7.1 go away" if self.at == "rcpt" else await self.taken(envelope, address)

    async def taken(self, envelope, address):
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  # aiosmtpd's name
        return "451 later"


@pytest.mark.parametrize("at", ["rcpt", "data", "nobody", "tls"])
async def test_what_fails_is_one_line_without_a_secret(site, at):
    port = free_port()
    tls = {"tls": "starttls"} if at == "tls" else {"tls": "none"}
    told = herald(site, transport="smtp", host="127.0.0.1", port=port, password="geheim-7", **tls)
    with ExitStack() as server:
        if at != "nobody":
            controller = Controller(Refusing(at), hostname="127.0.0.1", port=port)
            controller.start()
            server.callback(controller.stop)
        with pytest.raises(OSError, match=r"^127\.0\.0\.1:\d+: .+") as caught:
            await told.tell(NOTICE)
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)


async def test_the_doctor_asks_the_relay_whether_it_would_take_a_letter_and_begins_none(site, relay):
    said = await herald(site, transport="smtp", host="127.0.0.1", port=relay.port, tls="none").ask()
    assert said == f"127.0.0.1:{relay.port} would take a letter"
    assert relay.taken == []
    assert "outbox" in await herald(site).ask()


async def test_the_doctor_hears_of_an_address_that_the_relay_refuses(site):
    refusing = Controller(Refusing("rcpt"), hostname="127.0.0.1", port=free_port())
    refusing.start()
    told = herald(site, transport="smtp", host="127.0.0.1", port=refusing.port, tls="none")
    try:
        with pytest.raises(OSError, match="go away"):
            await told.ask()
    finally:
        refusing.stop()


async def test_the_doctor_asks_everybody_whom_alerts_name(site):
    settings = settings_of(site).model_copy(
        update={"alerts": AlertSettings(email="oncall@example.org", telegram="@oncall")}
    )
    asked = dict(alert_questions(settings, site, lambda: NOW))
    assert list(asked) == ["alerts.email", "alerts.telegram"]
    with pytest.raises(ValueError, match=r"telegram\.token"):
        await asked["alerts.telegram"]()


async def test_an_outbox_that_cannot_be_written_is_a_failure(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="outbox"):
        await herald(site, outbox=str(tmp_path / "file")).tell(NOTICE)


def test_an_address_that_is_none_stops_the_start(site):
    settings = settings_of(site).model_copy(
        update={"alerts": AlertSettings.model_construct(email="no one", telegram="")}
    )
    with pytest.raises(BadSettings, match=r"^alerts\.email: "):
        open_heralds(settings, site, lambda: NOW)


def test_nobody_is_told_where_nobody_is_named(site):
    assert open_heralds(settings_of(site), site, lambda: NOW) == []
