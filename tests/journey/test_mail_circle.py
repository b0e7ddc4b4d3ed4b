"""The whole circle, with a real Postfix: a release goes out, and who cannot be reached is not written to again."""

from __future__ import annotations

import smtplib
import sqlite3
from typing import Any

from tests.email.postfix import by_lmtp, by_smtp, postfix
from tests.email.signing import DOMAIN, KEYS, pem, verified
from tests.program import MailSink, Program, free_port, mail_through, wait_for

NOBODY = "nobody@readers.example"
RETURNS = f"returns.{DOMAIN}"


class Readers(MailSink):
    """Their mailboxes; one of them does not exist."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802  # aiosmtpd's name
        if address == NOBODY:
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 ok"


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
        with postfix({"readers.example": by_smtp(readers.port), RETURNS: by_lmtp(inbound)}) as relay:
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
    finally:
        readers.stop()


def leave_by_mail(readers: MailSink, port: int) -> None:
    """What a mail program does for its reader: an empty mail to the address in List-Unsubscribe."""
    mail = readers.mails[0]
    address = mail["List-Unsubscribe"].partition("mailto:")[2].partition("?")[0]
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail(mail["To"], [address], f"From: {mail['To']}\r\nSubject: unsubscribe\r\n\r\n")


def left(program: Program) -> int:
    """How many have left by mail, as the database says."""
    with sqlite3.connect(f"file:{program.folder}/var/syndicator.db?mode=ro", uri=True) as database:
        query = "SELECT count(*) FROM subscription WHERE state = 'ended' AND ended_reason = 'left by mail'"
        return int(database.execute(query).fetchone()[0])
