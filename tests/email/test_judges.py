"""Others judge our mails: mailauth what a receiver makes of sender and signature, listunsub how one leaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from email import message_from_bytes
from pathlib import Path

import listunsub
import pytest

from syndicator.domain.model import MessageKind
from tests.email.gallery import NOW, a_compiler, gallery
from tests.email.signing import DOMAIN, KEYS, signer, verified
from tests.judges.readers import HERE, MODULES
from tests.needing import missing

RELAY = "192.0.2.1"
BULK = {MessageKind.RELEASE, MessageKind.CORRECTION, MessageKind.WITHDRAWAL, MessageKind.DIGEST}
LETTERS = {shown.name: shown.letter for shown in gallery("az")}
NAMES = {
    "bulk": [name for name, letter in LETTERS.items() if letter.kind in BULK],
    "leaves": [name for name, letter in LETTERS.items() if letter.kind in BULK | {MessageKind.WELCOME}],
    "one": [name for name, letter in LETTERS.items() if letter.kind not in BULK],
    "asks": [name for name, letter in LETTERS.items() if letter.kind not in BULK | {MessageKind.WELCOME}],
}


@pytest.fixture(scope="module")
def compiled():
    """Finished mails by name, from an office that has every address."""
    return {name: a_compiler().mail(letter, NOW) for name, letter in LETTERS.items()}


def zone(*texts: tuple[str, str]) -> dict[str, list[list[str]]]:
    """TXT records as a resolver gives them."""
    return {f"TXT {name}": [[text[i : i + 255] for i in range(0, len(text), 255)]] for name, text in texts}


def receivers_view(mails: dict[str, tuple[str, bytes]], records: dict[str, list[list[str]]], folder: Path):
    """What mailauth says of mails (envelope's sender and bytes) that come from our relay."""
    node = shutil.which("node")
    if node is None or not (MODULES / "mailauth").is_dir():
        missing("mailauth", "make judges")
    asked = {"zone": records, "ip": RELAY, "helo": "relay.example.org", "mails": {}}
    for key, (sender, data) in mails.items():
        (folder / f"{key}.eml").write_bytes(data)
        asked["mails"][key] = {"sender": sender, "path": str(folder / f"{key}.eml")}
    (folder / "asked.json").write_text(json.dumps(asked))
    command = [str(node), str(HERE / "mailauth.mjs"), str(folder / "asked.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_dkim_spf_and_dmarc_pass_for_each_kind_with_each_sort_of_key(compiled, tmp_path):
    signers = {kind: signer(kind) for kind in KEYS}
    records = zone(
        (DOMAIN, f"v=spf1 ip4:{RELAY} -all"),
        (f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; adkim=s; aspf=s"),
        *((s.record_name, s.record) for s in signers.values()),
    )
    mails = {
        f"{name}-{kind}": (mail.sender, by.signed(mail.data, NOW))
        for name, mail in compiled.items()
        for kind, by in signers.items()
    }
    told = receivers_view(mails, records, tmp_path)
    assert len(told) == len(mails) >= 16
    for key, one in told.items():
        assert (one["dkim"], one["spf"], one["dmarc"]) == (["pass"], "pass", "pass"), key


def test_a_receiver_notices_a_changed_mail_and_a_strange_relay(compiled, tmp_path):
    signed = signer("rsa").signed(compiled["release"].data, NOW)
    changed = signed.replace(b"unsubscribe/", b"unsubscribe?")
    records = zone(
        (f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject"),
        (signer("rsa").record_name, signer("rsa").record),
        ("else.example", "v=spf1 -all"),
    )
    told = receivers_view({"changed": ("someone@else.example", changed)}, records, tmp_path)["changed"]
    assert "pass" not in told["dkim"]
    assert (told["spf"], told["dmarc"]) == ("fail", "fail")


@pytest.mark.parametrize("name", LETTERS)
def test_dkimpy_verifies_every_mail(compiled, name):
    assert verified(signer("rsa").signed(compiled[name].data, NOW))


@pytest.mark.parametrize("name", NAMES["leaves"])
def test_listunsub_finds_nothing_in_mail_that_one_can_leave(compiled, name):
    mail = message_from_bytes(signer("rsa").signed(compiled[name].data, NOW))
    given = [mail.get_all(header) for header in ("List-Unsubscribe", "List-Unsubscribe-Post")]
    assert listunsub.audit(*given, dkim_signatures=mail.get_all("DKIM-Signature")) == []


def test_listunsub_would_find_what_the_signature_leaves_out(compiled):
    """The judge is awake."""
    mail = message_from_bytes(compiled["release"].data)
    bad = "v=1; a=rsa-sha256; d=x.example; s=s; h=from:subject; bh=x; b=x"
    given = [mail.get_all(header) for header in ("List-Unsubscribe", "List-Unsubscribe-Post")]
    assert listunsub.audit(*given, dkim_signatures=[bad]) != []


@pytest.mark.parametrize("name", NAMES["bulk"])
def test_bulk_mail_says_what_it_is(compiled, name):
    mail = message_from_bytes(compiled[name].data)
    assert mail["Precedence"] == "bulk"
    assert mail["List-Id"] in {f"<releases.{lang}.{DOMAIN}>" for lang in ("az", "en", "ru")}
    assert mail["List-Owner"] == mail["List-Help"] == f"<mailto:press@{DOMAIN}>"
    assert mail["Reply-To"] == f"press@{DOMAIN}"
    assert mail["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("name", LETTERS)
def test_feedback_ids_name_release_topic_frequency_and_sender_and_nobody_else(compiled, name):
    fields = message_from_bytes(compiled[name].data)["Feedback-ID"].split(":")
    assert len(fields) == 4
    assert all(re.fullmatch(r"[a-z0-9-]+", field) for field in fields)
    assert 5 <= len(fields[3]) <= 15
    assert not {"7", "reader"} & set(fields)  # the subscriber's number, their name


@pytest.mark.parametrize("name", NAMES["one"])
def test_a_mail_for_one_person_asks_for_no_automatic_answer_and_is_on_no_list(compiled, name):
    mail = message_from_bytes(compiled[name].data)
    assert "Precedence" not in mail
    assert "List-Id" not in mail
    assert "OOF" in mail["X-Auto-Response-Suppress"]
    assert mail["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("name", NAMES["asks"])
def test_a_mail_to_who_has_nothing_to_leave_offers_no_leaving(compiled, name):
    assert "List-Unsubscribe" not in message_from_bytes(compiled[name].data)
