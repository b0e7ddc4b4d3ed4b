"""What follows a release in a chat: edits, replies, deletions and notices, through the real library to the double."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from telegram import InputFile

from bots.telegram.options import ChatOptions, Options
from bots.telegram.parts import Style
from bots.telegram.traces import digest
from config.settings import TelegramChannel as Configured
from config.settings import TelegramSettings
from syndicator.domain.letters import Earlier, Gone, Item, Later, Moved, Refused, Sent, Unknown
from syndicator.domain.model import Attachment, MessageKind, State, SubscriberRole
from tests.telegram.pictures import png

CHANNEL = SubscriberRole.CHANNEL
LONG = "".join(f"<p>Paragraph {n}. {'word ' * 60}</p>" for n in range(25))
NOTE = "The fee is 20, not 10."


class Pictures:
    """Room for photos, at the port: bytes, and what was said of them."""

    def __init__(self, *, kept=True):
        self.kept, self.said = kept, []

    async def input(self, attachment):
        return InputFile(png(), filename=attachment.url.rpartition("/")[2]) if self.kept else None

    async def accepted(self, attachment, message):
        self.said.append("accepted")

    async def refused(self, attachment):
        self.said.append("refused")
        self.kept = False

    def released(self, attachment):
        self.said.append("released")


class Desk:
    """One chat, its letters, and what the ledger would remember of them."""

    def __init__(self, sender, letter, now, chat=7, role=SubscriberRole.PERSON):
        self.sender, self.letter, self.now, self.chat, self.role = sender, letter, now, chat, role
        self.earlier, self.number = (), 0

    async def tell(self, kind, about, **values):
        """A delivery of its own, tried until it ends; returns its outcome."""
        self.number += 1
        base = self.letter(about, kind=kind, address=str(self.chat), role=self.role, delivery=self.number)
        letter = replace(base, earlier=self.earlier, **values)
        for attempt in range(8):
            (found,) = await self.sender.send([replace(letter, attempt=attempt + 1)], self.now)
            if not isinstance(found, Later):
                break
            self.now = max(self.now + timedelta(seconds=60), found.not_before or self.now)
            letter = replace(letter, answer=found.answer or letter.answer)
        answer = getattr(found, "answer", {}) or letter.answer
        known = Earlier(self.number, kind, answer, self.now, not isinstance(found, Unknown))
        self.earlier = (*self.earlier, replace(known, items=values.get("items", ())))
        self.now += timedelta(minutes=5)
        return found


@pytest.fixture
def desk(double, channel, letter, now, clocked):
    double.started.add(7)

    def made(chat=7, role=SubscriberRole.PERSON, **values):
        return clocked(Desk(channel(**values), letter, now, chat, role))

    return made


@pytest.fixture
def clocked(double):
    """The double's clock goes with the desk's."""

    def bound(desk):
        double._clock = lambda: desk.now.timestamp()  # noqa: PLW0108  # the desk's time moves on
        return desk

    return bound


@pytest.fixture
def channel(channel):
    """As everywhere, with photos, options and an audit where a test gives them."""

    def made(photos=None, options=None, audit=None, **values):
        sender = channel(**values)
        sender._photos, sender._audit = photos, audit
        sender._options = options or ChatOptions()
        return sender

    return made


def corrected(release, **changes):
    """The same release with another text and a note."""
    variant = release.variants[0]
    old = variant.revision
    new = replace(old, **{"number": old.number + 1, "major": old.major + 1, "note": NOTE, **changes})
    return replace(
        release,
        variants=(replace(variant, revision=new),),
        change=release.change + 1,
        major=release.major + 1,
    )


def withdrawn(release, now):
    return replace(release, state=State.WITHDRAWN, withdrawn_at=now, reason="sent by mistake", change=99)


def words(double, chat=7):
    return [one["text"] for one in double.seen(chat)]


@pytest.mark.parametrize(("urgent", "body", "parts"), [(False, "<p>Old.</p>", 1), (True, LONG, 3)])
async def test_a_correction_edits_in_place_and_replies_with_what_changed(double, desk, release, urgent, body, parts):
    reader, old = desk(), release(urgent=urgent, body=body)
    await reader.tell(MessageKind.RELEASE, old)
    before = [one["id"] for one in double.seen(7)]
    found = await reader.tell(MessageKind.CORRECTION, corrected(old, title="Visas cost 20"), notes=(NOTE,))
    *copy, reply = double.seen(7)
    assert [one["id"] for one in copy] == before
    assert len(copy) == parts
    assert copy[0]["text"].partition("Visas")[2].startswith(" cost 20")
    assert (NOTE in reply["text"], reply["reply_to"]) == (True, before[0])
    assert found.answer["reply"] == reply["id"]
    assert found.answer["messages"] == before


async def test_a_correction_told_twice_changes_nothing_more(double, desk, release):
    reader, old = desk(), release()
    await reader.tell(MessageKind.RELEASE, old)
    new = corrected(old)
    found = await reader.tell(MessageKind.CORRECTION, new, notes=(NOTE,))
    stood, calls = double.seen(7), len(double.calls)
    reader.earlier = reader.earlier[:1]
    again = await reader.tell(MessageKind.CORRECTION, new, notes=(NOTE,), answer=found.answer)
    assert (again, double.seen(7), len(double.calls)) == (found, stood, calls)


@pytest.mark.parametrize(("old_body", "new_body", "parts"), [(LONG, "<p>Short.</p>", 1), ("<p>Short.</p>", LONG, 3)])
async def test_a_text_may_grow_and_shrink(double, desk, release, old_body, new_body, parts):
    reader, old = desk(), release(urgent=True, body=old_body)
    await reader.tell(MessageKind.RELEASE, old)
    await reader.tell(MessageKind.EDIT, corrected(old, body=new_body, note=""))
    assert len(double.seen(7)) == parts
    assert [bool(one["keyboard"]) for one in double.seen(7)] == [False] * (parts - 1) + [True]


async def test_a_silent_change_says_nothing(double, desk, release):
    reader, old = desk(), release()
    await reader.tell(MessageKind.RELEASE, old)
    found = await reader.tell(MessageKind.EDIT, corrected(old, title="Visas cost 20", note=""))
    (copy,) = double.seen(7)
    assert (copy["text"].startswith("Visas cost 20"), copy["edits"]) == (True, 1)
    assert "reply" not in found.answer


async def test_a_silent_change_of_what_never_arrived_sends_nothing(double, desk, release):
    reader, old = desk(), release()
    double.fault("drop_before")
    assert isinstance(await reader.tell(MessageKind.RELEASE, old), Unknown)
    found = await reader.tell(MessageKind.EDIT, corrected(old, note=""))
    assert (found, double.seen(7)) == (Sent({}, "7"), [])


async def test_of_a_copy_that_nobody_can_tell_of_the_corrected_text_is_sent_anew(double, desk, release):
    reader, old = desk(), release()
    double.fault("drop_before")
    await reader.tell(MessageKind.RELEASE, old)
    await reader.tell(MessageKind.CORRECTION, corrected(old, title="Visas cost 20"), notes=(NOTE,))
    (copy,) = double.seen(7)
    assert copy["text"].startswith("Visas cost 20")
    assert NOTE in copy["text"], "its own note says it; no reply is needed"


@pytest.mark.parametrize("fault", ["flood", "502", "drop_before", "drop_after"])
@pytest.mark.parametrize("method", ["editMessageText", "deleteMessage"])
async def test_edits_and_deletions_go_on_where_they_broke(double, desk, release, method, fault):
    reader, old = desk(), release(urgent=True, body=LONG)
    await reader.tell(MessageKind.RELEASE, old)
    double.fault(fault, method=method, skip=1)
    short = corrected(old, body="<p>Short.</p>" if method == "deleteMessage" else LONG.replace("word", "term"))
    found = await reader.tell(MessageKind.CORRECTION, short, notes=(NOTE,))
    assert isinstance(found, Sent)
    *copy, reply = words(double)
    assert NOTE in reply
    assert len(copy) == (1 if method == "deleteMessage" else 3)
    assert not any("word word" in one for one in copy)


async def test_what_a_person_deleted_is_not_sent_again_and_the_reply_stands_alone(double, desk, release):
    reader, old = desk(), release()
    await reader.tell(MessageKind.RELEASE, old)
    double.take(double.seen(7)[0])
    found = await reader.tell(MessageKind.CORRECTION, corrected(old), notes=(NOTE,))
    (reply,) = double.seen(7)
    assert isinstance(found, Sent)
    assert (NOTE in reply["text"], reply["reply_to"]) == (True, None)


async def test_a_withdrawal_deletes_the_copy_and_says_so_without_its_words(double, desk, release, now):
    reader, old = desk(), release(urgent=True, body=LONG)
    await reader.tell(MessageKind.RELEASE, old)
    await reader.tell(MessageKind.CORRECTION, corrected(old), notes=(NOTE,))
    found = await reader.tell(MessageKind.WITHDRAWAL, withdrawn(old, now))
    (notice,) = double.seen(7)
    assert (notice["reply_to"], "Visas" in notice["text"], "20" in notice["text"][:3]) == (None, False, False)
    assert NOTE not in notice["text"]
    assert (found.answer["gone"], found.answer["messages"]) == (True, [])
    again = await reader.tell(MessageKind.WITHDRAWAL, withdrawn(old, now), answer=found.answer)
    assert again == found
    assert len(double.seen(7)) == 1


async def test_past_48_hours_a_withdrawal_leaves_notices_and_a_reply_to_the_first(double, desk, release, now):
    reader, old = desk(), release(urgent=True, body=LONG)
    await reader.tell(MessageKind.RELEASE, old)
    first = double.seen(7)[0]["id"]
    reader.now += timedelta(hours=48)
    found = await reader.tell(MessageKind.WITHDRAWAL, withdrawn(old, now))
    notice, *rest, told = double.seen(7)
    assert double.made("deleteMessage") == [], "it is not even tried"
    assert [one["text"] for one in rest] == ["—", "—"]
    assert (notice["text"], notice["id"], told["reply_to"]) == (told["text"], first, first)
    assert "Visas" not in notice["text"]
    assert found.answer["notice"] == first


async def test_what_telegram_will_not_delete_becomes_a_notice(double, desk, release, now):
    reader, old = desk(), release()
    await reader.tell(MessageKind.RELEASE, old)
    double.fault("refuse", method="deleteMessage", code=400, text="Bad Request: message can't be deleted")
    await reader.tell(MessageKind.WITHDRAWAL, withdrawn(old, now))
    notice, told = double.seen(7)
    assert told["reply_to"] == notice["id"]
    assert "Visas" not in notice["text"]


async def test_of_what_nobody_can_tell_of_a_withdrawal_leaves_its_notice(double, desk, release, now):
    reader, old = desk(), release()
    double.fault("drop_before")
    await reader.tell(MessageKind.RELEASE, old)
    await reader.tell(MessageKind.WITHDRAWAL, withdrawn(old, now))
    (notice,) = double.seen(7)
    assert "Visas" not in notice["text"]


async def test_a_release_that_came_back_is_sent_anew_with_its_note_and_can_go_again(double, desk, release, now):
    reader, old = desk(), release()
    await reader.tell(MessageKind.RELEASE, old)
    await reader.tell(MessageKind.WITHDRAWAL, withdrawn(old, now))
    back = corrected(old)
    await reader.tell(MessageKind.CORRECTION, back, notes=(NOTE,))
    notice, copy = double.seen(7)
    assert NOTE in copy["text"]
    assert copy["text"].startswith("Visas")
    await reader.tell(MessageKind.WITHDRAWAL, withdrawn(back, now))
    assert not any("Visas" in one for one in words(double))
    assert notice["id"] == double.seen(7)[0]["id"]


@pytest.mark.parametrize("kind", [MessageKind.CORRECTION, MessageKind.WITHDRAWAL, MessageKind.EDIT])
@pytest.mark.parametrize("hours", [0, 50])
async def test_who_has_left_hears_nothing_and_their_copy_follows(double, desk, release, now, kind, hours):
    reader, old = desk(), release(body="<p>Old.</p>")
    await reader.tell(MessageKind.RELEASE, old)
    reader.now += timedelta(hours=hours)
    about = withdrawn(old, now) if kind is MessageKind.WITHDRAWAL else corrected(old, body="<p>New.</p>")
    await reader.tell(kind, about, notes=(NOTE,), hushed=True)
    assert len(double.made("sendMessage")) == 1, "only the release itself"
    assert not any("Old." in one for one in words(double))


async def test_who_has_left_and_whose_copy_grew_gets_its_lead_there(double, desk, release):
    reader, old = desk(), release(urgent=True, body="<p>Old.</p>")
    await reader.tell(MessageKind.RELEASE, old)
    await reader.tell(MessageKind.EDIT, corrected(old, body=LONG), hushed=True)
    (copy,) = double.seen(7)
    assert copy["text"].partition("Visas")[1]
    assert copy["keyboard"], "the button leads to the rest"
    assert "Old." not in copy["text"]


async def test_a_group_that_moved_gets_the_word_alone_and_no_strange_message_is_touched(double, desk, release):
    double.channel(-100, -100, kind="group", member={"status": "member"})
    group, old = desk(chat=-100), release()
    await group.tell(MessageKind.RELEASE, old)
    double.migrate(-100, -1002000)
    moved = await group.tell(MessageKind.CORRECTION, corrected(old), notes=(NOTE,))
    assert (type(moved), moved.address) == (Moved, "-1002000")
    group.chat, group.earlier = -1002000, group.earlier[:1]
    strange = double.put(-1002000, text="another post of ours")["id"]
    found = await group.tell(MessageKind.CORRECTION, corrected(old), notes=(NOTE,))
    kept, reply = double.seen(-1002000)
    assert (kept["id"], kept["text"]) == (strange, "another post of ours")
    assert (NOTE in reply["text"], reply["reply_to"]) == (True, None)
    again = corrected(corrected(old), note="And 30 for families.")
    await group.tell(MessageKind.CORRECTION, again, notes=("And 30 for families.",))
    assert isinstance(found, Sent)
    assert len(double.seen(-1002000)) == 3, "the next one is a word alone, too"


@pytest.mark.parametrize("role", [SubscriberRole.PERSON, CHANNEL])
async def test_somebody_out_of_reach_is_told_of_as_with_posts(double, desk, release, role):
    double.channel("@news", -100123)
    reader, old = desk(chat=7 if role is not CHANNEL else -100123, role=role), release()
    await reader.tell(MessageKind.RELEASE, old)
    double.block(7)
    double.rights("@news", {"status": "left"})
    sender, about = reader.sender, reader.letter(corrected(old), kind=MessageKind.CORRECTION, role=role)
    about = replace(about, address=str(reader.chat), earlier=reader.earlier, notes=(NOTE,))
    (found,) = await sender.send([about], reader.now)
    assert isinstance(found, Later if role is CHANNEL else Gone)


# -- digests
def item(release, number, title, body="<p>Body.</p>"):
    return Item(release(number=number, title=title, body=body), "en")


async def test_a_digest_is_sent_and_follows_what_it_tells_of(double, desk, release, now):
    reader = desk()
    one, two = item(release, 12, "Visas get cheaper"), item(release, 13, "Offices closed on Monday")
    found = await reader.tell(MessageKind.DIGEST, None, release=None, lang="", items=(one, two))
    (copy,) = double.seen(7)
    assert isinstance(found, Sent)
    assert "Visas get cheaper" in copy["text"]
    new = corrected(one.release, title="Visas cost 20")
    reader.earlier = (replace(reader.earlier[0], items=(Item(new, "en"), two)),)
    await reader.tell(MessageKind.CORRECTION, new, notes=(NOTE,))
    copy, reply = double.seen(7)
    assert "Visas cost 20" in copy["text"]
    assert "Offices closed" in copy["text"]
    assert (NOTE in reply["text"], reply["reply_to"]) == (True, copy["id"])
    gone = withdrawn(new, now)
    reader.earlier = (replace(reader.earlier[0], items=(Item(gone, "en"), two)), *reader.earlier[1:])
    await reader.tell(MessageKind.WITHDRAWAL, gone)
    copy, notice = double.seen(7)
    assert "Offices closed" in copy["text"]
    assert "Visas" not in copy["text"] + notice["text"]
    assert NOTE not in notice["text"], "the reply that told of the correction went, too"
    assert notice["reply_to"] == copy["id"]


async def test_a_digest_drops_what_is_no_longer_public_and_with_nothing_left_is_refused(double, desk, release, now):
    gone = Item(withdrawn(release(), now), "en")
    kept = item(release, 13, "Offices closed on Monday")
    await desk().tell(MessageKind.DIGEST, None, release=None, lang="", items=(gone, kept))
    assert "Visas" not in words(double)[0]
    found = await desk().tell(MessageKind.DIGEST, None, release=None, lang="", items=(gone,))
    assert isinstance(found, Refused)


@pytest.mark.parametrize(
    ("kind", "state"), [(MessageKind.CORRECTION, State.WITHDRAWN), (MessageKind.WITHDRAWAL, State.PUBLIC)]
)
async def test_what_overtook_a_letter_on_its_way_refuses_it(double, desk, release, kind, state):
    found = await desk().tell(kind, replace(release(), state=state))
    assert isinstance(found, Refused)
    assert double.calls == []


# -- photos
@pytest.fixture
def with_photos():
    return ChatOptions(Options(Style(media="photo")))


async def test_a_photo_is_sent_edited_by_its_caption_and_taken_away(double, desk, release, now, with_photos):
    pictures = Pictures()
    reader, old = desk(photos=pictures, options=with_photos), release(image=True)
    found = await reader.tell(MessageKind.RELEASE, old)
    (copy,) = double.seen(7)
    assert (copy["kind"], found.answer["photo"], pictures.said) == ("photo", True, ["accepted"])
    await reader.tell(MessageKind.CORRECTION, corrected(old, title="Visas cost 20"), notes=(NOTE,))
    copy, _ = double.seen(7)
    assert (copy["kind"], copy["text"].startswith("Visas cost 20")) == ("photo", True)
    assert [method for method, _ in double.calls] == ["sendPhoto", "editMessageCaption", "sendMessage"]
    await reader.tell(MessageKind.WITHDRAWAL, withdrawn(old, now))
    (notice,) = double.seen(7)
    assert notice["kind"] == "text"


async def test_another_picture_takes_the_first_ones_place(double, desk, release, with_photos):
    reader, old = desk(photos=Pictures(), options=with_photos), release(image=True)
    await reader.tell(MessageKind.RELEASE, old)
    other = corrected(old, attachments=(Attachment("/media/b.jpg", "image/jpeg"),))
    found = await reader.tell(MessageKind.EDIT, other)
    assert [method for method, _ in double.calls] == ["sendPhoto", "editMessageMedia"]
    assert (isinstance(found, Sent), len(double.seen(7))) == (True, 1)


@pytest.mark.parametrize("changes", [{"attachments": ()}, {"body": LONG, "summary": "S" * 990}])
async def test_a_text_that_has_no_picture_any_more_is_sent_anew(double, desk, release, with_photos, changes):
    reader, old = desk(photos=Pictures(), options=with_photos), release(image=True, urgent=True)
    await reader.tell(MessageKind.RELEASE, old)
    found = await reader.tell(MessageKind.EDIT, corrected(old, **changes))
    assert isinstance(found, Sent)
    assert {one["kind"] for one in double.seen(7)} == {"text"}
    assert "photo" not in found.answer


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "refuse", "code": 400, "text": "Bad Request: PHOTO_INVALID_DIMENSIONS"}, "refused"),
        ({"kind": "refuse", "code": 413, "text": "Request Entity Too Large"}, "refused"),
        (
            {"kind": "refuse", "code": 400, "text": "Bad Request: not enough rights to send photos to the chat"},
            "released",
        ),
        (None, None),
    ],
)
async def test_a_picture_that_is_refused_or_missing_gives_way_to_the_text(
    double, desk, release, with_photos, fault, said
):
    pictures = Pictures(kept=fault is not None)
    if fault:
        double.fault(**fault, method="sendPhoto")
    found = await desk(photos=pictures, options=with_photos).tell(MessageKind.RELEASE, release(image=True))
    (copy,) = double.seen(7)
    assert (isinstance(found, Sent), copy["kind"], pictures.said) == (True, "text", [said] if said else [])
    assert copy["preview"]["url"].endswith("12-visas"), "the page's large preview instead"


async def test_a_copy_that_stands_as_a_text_stays_one(double, desk, release, with_photos):
    reader, old = desk(photos=Pictures()), release(image=True)
    await reader.tell(MessageKind.RELEASE, old)
    reader.sender._options = with_photos
    await reader.tell(MessageKind.EDIT, corrected(old, title="Visas cost 20"))
    (copy,) = double.seen(7)
    assert (copy["kind"], copy["text"].startswith("Visas cost 20")) == ("text", True)


# -- chats with wishes of their own
def configured(*channels, **values):
    return ChatOptions.of(TelegramSettings(channels=channels, **values))


async def test_a_topic_of_a_forum_gets_its_posts_and_replies_there(double, desk, release):
    double.channel("@forum", -100555, kind="supergroup", threads=[5, 6])
    post, old = desk(chat="@forum/5", role=CHANNEL), release()
    found = await post.tell(MessageKind.RELEASE, old)
    assert (found.address, found.answer["chat"]) == ("-100555/5", -100555)
    post.chat = found.address
    await post.tell(MessageKind.CORRECTION, corrected(old), notes=(NOTE,))
    assert [one["thread"] for one in double.seen("@forum")] == [5, 5]


async def test_each_chat_is_written_to_as_it_is_configured(double, desk, release, now):
    for name, number in (("@lead", -1001), ("@full", -1002)):
        double.channel(name, number)
    options = configured(
        Configured(chat="@lead", text="lead", media="none", silent="always"),
        Configured(chat="t.me/full", silent="never"),
    )
    about = release(image=True, summary="The lead.", body="<p>All of it.</p>")
    for chat, written in (("-1001", "@lead"), ("@full", "t.me/full")):
        place = desk(chat=chat, role=CHANNEL, options=options)
        place.now = now.replace(hour=20)  # midnight in Baku
        await place.tell(MessageKind.RELEASE, about, written=written)
    (lead,), (full,) = double.seen(-1001), double.seen(-1002)
    assert ("All of it." in lead["text"], lead["silent"], "url" in lead["preview"]) == (False, True, False)
    assert ("All of it." in full["text"], full["silent"], "url" in full["preview"]) == (True, False, True)


@pytest.mark.parametrize(
    ("kind", "urgent", "silent"),
    [
        (MessageKind.CORRECTION, False, True),
        (MessageKind.CORRECTION, True, False),
        (MessageKind.WITHDRAWAL, False, True),
        (MessageKind.EDIT, True, True),
    ],
)
async def test_what_follows_makes_no_sound_unless_it_is_urgent(double, desk, release, now, kind, urgent, silent):
    reader, old = desk(), release(urgent=urgent)
    await reader.tell(MessageKind.RELEASE, old)
    about = corrected(old, body=LONG)
    await reader.tell(kind, withdrawn(old, now) if kind is MessageKind.WITHDRAWAL else about, notes=(NOTE,))
    assert {one["silent"] for one in double.seen(7)[1:] or double.seen(7)} <= {silent}


# -- an audit chat
class Known:
    """An audit at its port: what stands in the channel, as a test says."""

    def __init__(self, double, *, blind=False):
        self.double, self.blind, self.heard, self.asked = double, blind, [], 0

    async def noted(self, place, message):
        self.heard.append((place.chat, message))

    async def newest(self, place):
        return max((number for _, number in self.heard), default=None)

    async def found(self, place, trace, now, since=None):
        self.asked += 1
        if self.blind:
            raise OSError("the audit chat does not answer")
        seen = [(one["id"], digest(one["text"])) for one in self.double.seen(place.chat)]
        return next((number for number, words in seen if words in trace.words), None)


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "502"])
async def test_an_audit_decides_what_nobody_can_tell_of(double, desk, release, fault):
    double.channel("@news", -100123)
    audit = Known(double)
    double.fault(fault, skip=1)
    post = desk(chat="@news", role=CHANNEL, audit=audit)
    found = await post.tell(MessageKind.RELEASE, release(urgent=True, body=LONG))
    assert isinstance(found, Sent)
    assert found.answer["messages"] == [one["id"] for one in double.seen("@news")]
    assert len(double.seen("@news")) == 3
    assert double.duplicates() == []
    assert len(audit.heard) + (fault == "drop_after") == 3


async def test_before_a_post_is_sent_again_the_audit_is_asked(double, desk, release):
    double.channel("@news", -100123)
    post = desk(chat="@news", role=CHANNEL, audit=Known(double))
    first = await post.tell(MessageKind.RELEASE, release(urgent=True, body=LONG))
    again = await post.tell(MessageKind.RELEASE, release(urgent=True, body=LONG), resent=True)
    assert again.answer["messages"] == first.answer["messages"]
    assert len(double.seen("@news")) == 3, "a crash forgot it; the audit did not"


async def test_where_the_audit_cannot_tell_it_stays_unknown_and_is_settled_later(double, desk, release):
    double.channel("@news", -100123)
    audit = Known(double, blind=True)
    double.fault("drop_after", skip=1)
    post, about = desk(chat="@news", role=CHANNEL, audit=audit), release(urgent=True, body=LONG)
    found = await post.tell(MessageKind.RELEASE, about)
    assert isinstance(found, Unknown)
    assert len(double.seen("@news")) == 3, "the third part went out all the same"
    audit.blind = False
    again = await post.tell(MessageKind.RELEASE, about, resent=True, answer=found.answer)
    assert isinstance(again, Sent)
    assert again.answer["messages"] == [one["id"] for one in double.seen("@news")]
    assert double.duplicates() == []


async def test_people_are_not_looked_for_in_an_audit(double, desk, release):
    audit = Known(double)
    double.fault("drop_after")
    assert isinstance(await desk(audit=audit).tell(MessageKind.RELEASE, release()), Unknown)
    assert (audit.asked, audit.heard) == (0, [])


async def test_a_picture_becomes_a_text_without_a_moment_in_which_nothing_stands(
    double, desk, release, with_photos, now
):
    reader, old = desk(photos=Pictures(), options=with_photos), release(image=True, urgent=True)
    await reader.tell(MessageKind.RELEASE, old)
    new = corrected(old, body=LONG, summary="S" * 990)
    letter = reader.letter(new, kind=MessageKind.CORRECTION, address="7", delivery=9)
    double.fault("flood", method="deleteMessage", retry_after=3600)
    (found,) = await reader.sender.send([replace(letter, earlier=reader.earlier, notes=(NOTE,))], reader.now)
    assert isinstance(found, Later)
    picture, *texts = double.seen(7)
    assert (picture["kind"], "Paragraph 24." in "".join(one["text"] for one in texts)) == ("photo", True)
    reader.earlier = (*reader.earlier, Earlier(9, MessageKind.CORRECTION, found.answer, reader.now, is_known=True))
    reader.now += timedelta(hours=2)
    await reader.tell(MessageKind.WITHDRAWAL, withdrawn(new, now))
    (notice,) = words(double)
    assert notice.startswith("🚫 Withdrawn")


async def test_a_copy_that_went_without_a_word_is_still_told_of_when_it_is_withdrawn(double, desk, release, now):
    reader, old = desk(), release()
    await reader.tell(MessageKind.RELEASE, old)
    gone = {"chat": 7, "messages": [], "seals": [], "gone": True}
    reader.earlier = (*reader.earlier, Earlier(2, MessageKind.CORRECTION, gone, reader.now, is_known=True))
    for _ in range(2):
        await reader.tell(MessageKind.WITHDRAWAL, withdrawn(old, now))
    assert len([one for one in words(double) if one.startswith("🚫 Withdrawn")]) == 1


async def test_who_is_not_to_hear_anything_keeps_no_picture_that_the_release_has_lost(
    double, desk, release, with_photos
):
    reader, old = desk(photos=Pictures(), options=with_photos), release(image=True)
    await reader.tell(MessageKind.RELEASE, old)
    shown = [double.seen(7)[0]["photo"]]
    for change, attachments in ((2, ()), (2, ()), (3, old.variants[0].revision.attachments)):
        new = replace(corrected(old, attachments=attachments), change=change)
        found = await reader.tell(MessageKind.CORRECTION, new, notes=(NOTE,), hushed=True)
        assert isinstance(found, Sent)
        (copy,) = double.seen(7)
        assert (copy["kind"], NOTE in copy["text"]) == ("photo", True)
        shown.append(copy["photo"])
    first, blank, same, back = shown
    assert first == back
    assert blank == same != first


@pytest.mark.parametrize("said", ["Bad Request: TOPIC_CLOSED", "Bad Request: message thread not found"])
async def test_a_topic_that_is_closed_or_gone_keeps_its_posts_until_it_is_back(double, desk, release, said):
    double.channel("@forum", -100555, kind="supergroup", threads=[5], member={"status": "member"})
    forum = desk(chat="@forum/5", role=CHANNEL)
    letter = forum.letter(release(), address="@forum/5", role=CHANNEL)
    double.fault("refuse", code=400, text=said, times=3)
    with capture_logs() as logs:
        for _ in range(3):
            (found,) = await forum.sender.send([letter], forum.now)
            assert (isinstance(found, Later), found.counts) == (True, False)
            forum.now = found.not_before
        assert isinstance(await forum.tell(MessageKind.RELEASE, release()), Sent)
        assert isinstance(await forum.tell(MessageKind.RELEASE, release(number=13)), Sent)
    begun, ended = logs
    assert (begun["log_level"], begun["chat"]) == ("error", "@forum/5")
    assert begun["reason"].lower() in said.lower()
    assert ended["event"] == "telegram: a chat of the configuration can be written to again"


async def test_the_general_topic_is_the_forum_itself(double, desk, release):
    double.channel("@forum", -100555, kind="supergroup", threads=[5], member={"status": "member"})
    assert isinstance(await desk(chat="@forum/1", role=CHANNEL).tell(MessageKind.RELEASE, release()), Sent)
    assert len(words(double, "@forum")) == 1
