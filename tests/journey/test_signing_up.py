"""A citizen signs up, confirms, reads, and leaves by one click; a scanner that opens every link changes nothing."""

from __future__ import annotations

import re
import time
import urllib.parse
from typing import Any

SITE = "https://press.example.org"  # one-click unsubscribing (RFC 8058) is offered over https only
VISA = "Visa fees change on 1 December\n\nThe fee for a visa becomes 20 lir.\n"


def links(mail: Any, kind: str) -> list[str]:
    text = mail.get_body(("plain",)).get_content()
    return re.findall(rf"{SITE}(/{kind}/[A-Za-z0-9_-]+)", text)


def test_from_sign_up_to_leaving(mailing: Any, sink: Any, until: Any) -> None:
    mailing.environ["SYNDICATOR_SITE__BASE_URL"] = SITE
    mailing.start()
    page = mailing.text("/en/subscribe")
    made = re.search(r'name="made" value="([^"]+)"', page)
    assert made
    fields = {"made": made[1], "email": "citizen@example.org", "t": "visas", "language": "en", "website": "", "q": ""}
    body = urllib.parse.urlencode(fields).encode()
    filled = time.monotonic() + 3  # a form that comes back within two seconds is taken for a robot's
    until(lambda: time.monotonic() > filled, "a person to fill the form")
    assert mailing.ask("POST", "/en/subscribe", body=body, headers={"Origin": SITE})[0] == 200
    until(lambda: sink.mails, "the confirmation mail")
    (confirmation,) = sink.mails
    (confirm,) = set(links(confirmation, "confirm"))

    for _ in range(3):  # what a scanner does
        assert mailing.get(confirm)[0] == 200
        assert mailing.ask("HEAD", confirm)[0] == 200
    mailing.write("early.en.txt", "Visa hall closes early\n\nThe visa hall closes at noon.\n")
    until(mailing.titles, "the release")
    assert len(sink.mails) == 1, "nobody gets mail before they confirmed"

    assert mailing.ask("POST", confirm, body=b"", headers={"Origin": SITE})[0] == 200
    mailing.write("fees.en.txt", VISA)
    until(lambda: len(sink.mails) == 2, "the release by mail")
    mail = sink.mails[1]
    assert mail["Subject"] == "Visa fees change on 1 December"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    leave = re.search(rf"<{SITE}(/unsubscribe/[^>]+)>", mail["List-Unsubscribe"])
    assert leave
    assert mailing.get(leave[1])[0] == 200
    mailing.write("students.en.txt", "Visa desk for students\n\nA visa desk opens for students.\n")
    until(lambda: len(sink.mails) == 3, "a mail after a scanner opened the link to leave")

    status, _, _ = mailing.ask("POST", leave[1], body=b"List-Unsubscribe=One-Click")
    assert status == 200
    mailing.write("quota.en.txt", "Visa quota announced\n\nThe visa quota is 500.\n")
    until(lambda: "Visa quota announced" in mailing.titles(), "the next release")
    until(lambda: mailing.metric("syndicator_oldest_due_delivery_seconds") == 0, "an empty ledger")
    assert len(sink.mails) == 3
