"""Others judge our mails: mailauth what a receiver makes of sender and signature, listunsub how one leaves."""

from __future__ import annotations

import json
import shutil
import subprocess
from email import message_from_bytes
from pathlib import Path

import listunsub
import pytest

from syndicator.domain.model import MessageKind
from tests.email.signing import DOMAIN, KEYS, signer
from tests.judges.readers import HERE, MODULES, absent

BULK = [MessageKind.RELEASE]
PERSONAL = [MessageKind.CONFIRMATION]
RELAY = "192.0.2.1"
TOKENS = {"leave_token": "a" * 48, "return_token": "b" * 48}


@pytest.fixture
def compiled(make_compiler, letter, now):
    """A finished mail of a kind, from an office that has every address."""
    compiler = make_compiler(
        sender=f"news@{DOMAIN}",
        bounce_address=f"bounces@{DOMAIN}",
        unsubscribe_address=f"leave@{DOMAIN}",
        reply_to=f"press@{DOMAIN}",
        contact=f"press@{DOMAIN}",
    )
    return lambda kind: compiler.mail(letter(kind=kind, **TOKENS), now)


def zone(*texts: tuple[str, str]) -> dict[str, list[list[str]]]:
    """TXT records as a resolver gives them."""
    return {f"TXT {name}": [[text[i : i + 255] for i in range(0, len(text), 255)]] for name, text in texts}


def receivers_view(mails: dict[str, tuple[str, bytes]], records: dict[str, list[list[str]]], folder: Path):
    """What mailauth says of mails (envelope's sender and bytes) that come from our relay."""
    node = shutil.which("node")
    if node is None or not (MODULES / "mailauth").is_dir():
        absent("mailauth", "make judges")
    asked = {"zone": records, "ip": RELAY, "helo": "relay.example.org", "mails": {}}
    for key, (sender, data) in mails.items():
        (folder / f"{key}.eml").write_bytes(data)
        asked["mails"][key] = {"sender": sender, "path": str(folder / f"{key}.eml")}
    (folder / "asked.json").write_text(json.dumps(asked))
    command = [str(node), str(HERE / "mailauth.mjs"), str(folder / "asked.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_dkim_spf_and_dmarc_pass_for_each_kind_with_each_sort_of_key(compiled, now, tmp_path):
    signers = {kind: signer(kind) for kind in KEYS}
    records = zone(
        (DOMAIN, f"v=spf1 ip4:{RELAY} -all"),
        (f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; adkim=s; aspf=s"),
        *((s.record_name, s.record) for s in signers.values()),
    )
    mails = {}
    for kind in BULK + PERSONAL:
        made = compiled(kind)
        for name, by in signers.items():
            mails[f"{kind.value}-{name}"] = (made.sender, by.signed(made.data, now))
    told = receivers_view(mails, records, tmp_path)
    assert len(told) == 2 * len(BULK + PERSONAL)
    for key, one in told.items():
        assert (one["dkim"], one["spf"], one["dmarc"]) == (["pass"], "pass", "pass"), key


def test_a_receiver_notices_a_changed_mail_and_a_strange_relay(compiled, now, tmp_path):
    made = compiled(MessageKind.RELEASE)
    changed = signer("rsa").signed(made.data, now).replace(b"unsubscribe/", b"unsubscribe?")
    other = "someone@else.example"
    records = zone(
        (f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject"),
        (signer("rsa").record_name, signer("rsa").record),
        ("else.example", "v=spf1 -all"),
    )
    told = receivers_view({"changed": (other, changed)}, records, tmp_path)["changed"]
    assert "pass" not in told["dkim"]
    assert (told["spf"], told["dmarc"]) == ("fail", "fail")


@pytest.mark.parametrize("kind", BULK)
def test_listunsub_finds_nothing_in_bulk_mail(compiled, now, kind):
    mail = message_from_bytes(signer("rsa").signed(compiled(kind).data, now))
    given = [mail.get_all(name) for name in ("List-Unsubscribe", "List-Unsubscribe-Post")]
    assert listunsub.audit(*given, dkim_signatures=mail.get_all("DKIM-Signature")) == []


def test_listunsub_would_find_what_the_signature_leaves_out(compiled):
    """The judge is awake."""
    mail = message_from_bytes(compiled(MessageKind.RELEASE).data)
    bad = "v=1; a=rsa-sha256; d=x.example; s=s; h=from:subject; bh=x; b=x"
    given = [mail.get_all(name) for name in ("List-Unsubscribe", "List-Unsubscribe-Post")]
    assert listunsub.audit(*given, dkim_signatures=[bad]) != []


@pytest.mark.parametrize("kind", BULK)
def test_bulk_mail_says_what_it_is(compiled, kind):
    mail = message_from_bytes(compiled(kind).data)
    assert mail["Precedence"] == "bulk"
    assert mail["List-Id"] in {f"<releases.{lang}.{DOMAIN}>" for lang in ("az", "en", "ru")}
    assert mail["List-Owner"] == mail["List-Help"] == f"<mailto:press@{DOMAIN}>"
    assert mail["Reply-To"] == f"press@{DOMAIN}"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert len(mail["Feedback-ID"].split(":")) == 4
    assert 5 <= len(mail["Feedback-ID"].split(":")[-1]) <= 15


@pytest.mark.parametrize("kind", PERSONAL)
def test_a_mail_for_one_person_is_no_list_mail(compiled, kind):
    mail = message_from_bytes(compiled(kind).data)
    assert not [name for name in mail if name.startswith("List-") or name == "Precedence"]
    assert "OOF" in mail["X-Auto-Response-Suppress"]
    assert mail["Auto-Submitted"] == "auto-generated"
