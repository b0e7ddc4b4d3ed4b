"""The whole circle, with a real Postfix: a release goes out, and who cannot be reached is not written to again."""

from __future__ import annotations

import smtplib
import sqlite3
from pathlib import Path
from typing import Any

from tests.email.postfix import by_lmtp, by_smtp, postfix
from tests.email.returned import feedback
from tests.email.signing import DOMAIN, KEYS, pem, verified
from tests.program import MailSink, Program, free_port, mail_through, wait_for

NOBODY = "nobody@readers.example"
RETURNS = f"returns.{DOMAIN}"
MANUAL = Path(__file__).parents[2] / "docs" / "operating.md"


class Readers(MailSink):
    """Their mailboxes; one of them does not exist."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802  # aiosmtpd's name
        if address == NOBODY:
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 ok"


def recipe() -> tuple[str, str]:
    """What the manual tells a Postfix to take in: lines of main.cf (the way is the test's own), and the table."""
    printed = MANUAL.read_text().partition("# /etc/postfix/main.cf\n")[2].partition("```")[0]
    main, _, table = printed.partition("# /etc/postfix/returns\n")
    lines = [line for line in main.splitlines() if not line.startswith("transport_maps")]
    settings = "\n".join(lines).replace("bounces.press.example.org", RETURNS).replace("/etc/postfix", "{conf}")
    return f"{settings}\n", table.replace(r"bounces\.press\.example\.org", RETURNS.replace(".", r"\."))


def configured(program: Program, relay: int, inbound: int) -> Program:
    """An office that signs its mail, and takes in what comes back."""
    key = program.folder / "dkim.pem"
    key.write_text(pem(KEYS["rsa"]()))
    program.environ |= {
        "SYNDICATOR_SITE__BASE_URL": f"https://{DOMAIN}",
        "SYNDICATOR_EMAIL__BOUNCE_ADDRESS": f"b@{RETURNS}",
        "SYNDICATOR_EMAIL__UNSUBSCRIBE_ADDRESS": f"leave@{RETURNS}",
        "SYNDICATOR_EMAIL__DKIM__DOMAIN": DOMAIN,
        "SYNDICATOR_EMAIL__DKIM__SELECTOR": "rsa",
        "SYNDICATOR_EMAIL__DKIM__KEY_FILE": str(key),
        "SYNDICATOR_EMAIL__INBOUND__KIND": "lmtp",
        "SYNDICATOR_EMAIL__INBOUND__PORT": str(inbound),
    }
    return mail_through(program, relay)


def test_who_cannot_be_reached_comes_back_is_paused_and_others_go_on(program: Program) -> None:
    readers, inbound = Readers(), free_port()
    readers.start()
    try:
        settings, table = recipe()
        routes = {"readers.example": by_smtp(readers.port), RETURNS: by_lmtp(inbound)}
        with postfix(routes, settings, {"returns": table}) as relay:
            configured(program, relay.port, inbound)
            row = "{},email,en,,immediate"
            program.subscribe(*(row.format(f"{who}@readers.example") for who in ("ayla", "bahar", "nobody")))
            program.start()
            program.write("fees.en.txt", "Visa fees change\n\nThe fee becomes 20 lir.\n")
            wait_for(lambda: len(readers.taken) == 2, "the mails to arrive")
            assert all(verified(raw) for _, raw in readers.taken)
            wait_for(lambda: program.count("failed") == 1, "what came back to be settled")
            (failed,) = program.deliveries(state="failed")
            assert "5.1.1" in failed["reason"]

            program.write("hours.en.txt", "Visa hall closes early\n\nThe visa hall closes at noon.\n")
            wait_for(lambda: len(readers.taken) == 4, "the next release")
            wait_for(lambda: program.metric("syndicator_oldest_due_delivery_seconds") == 0, "an empty ledger")
            assert program.count("failed") == 1
            assert program.count("sent") == 4
            assert relay.log.count(f"to=<{NOBODY}>") == 1
            leave_by_mail(readers, relay.port)
            wait_for(lambda: left(program) == 1, "the subscription to end")
            complain(readers, relay.port)
            wait_for(lambda: left(program, "complained") == 1, "the complaint to end the other one")
            assert taken(relay.port, f"leave@{RETURNS}", f"prvs=1234abcdef=b@{RETURNS}", f"news@{RETURNS}") == [1, 1, 0]
    finally:
        readers.stop()


def leave_by_mail(readers: MailSink, port: int) -> None:
    """What a mail program does for its reader: an empty mail to the address in List-Unsubscribe."""
    mail = readers.mails[0]
    address = mail["List-Unsubscribe"].partition("mailto:")[2].partition("?")[0]
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail(mail["To"], [address], f"From: {mail['To']}\r\nSubject: unsubscribe\r\n\r\n")


def complain(readers: MailSink, port: int) -> None:
    """What a provider sends for its reader who pressed "spam": a report to the plain address, our mail with it."""
    mail = next(one for one in readers.mails if one["To"] != readers.mails[0]["To"])
    returned = f"To: {mail['To']}\r\nMessage-ID: {mail['Message-ID']}\r\nList-Unsubscribe: {mail['List-Unsubscribe']}"
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("feedback@provider.example", [f"b@{RETURNS}"], feedback("abuse", returned))


def taken(port: int, *recipients: str) -> list[bool]:
    """Which of these Postfix takes in."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.helo()
        client.mail("")
        return [client.rcpt(one)[0] == 250 for one in recipients]


def left(program: Program, reason: str = "left by mail") -> int:
    """How many have left for that reason, as the database says."""
    with sqlite3.connect(f"file:{program.folder}/var/syndicator.db?mode=ro", uri=True) as database:
        query = "SELECT count(*) FROM subscription WHERE state = 'ended' AND ended_reason = ?"
        return int(database.execute(query, (reason,)).fetchone()[0])
