"""The double is as strict as the Bot API: what a lenient one would take is refused, in the words of the real one."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.telegram import make_botapi, rules
from tests.telegram.double import TelegramDouble
from tests.telegram.faults import NONSENSE
from tests.telegram.limits import Limits
from tests.telegram.pictures import png

HTML = {"parse_mode": "HTML"}
BUTTON = {"text": "Read", "url": "https://press.example.org/"}


class Hours:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.now = datetime(2026, 11, 21, 9, 0, tzinfo=UTC).timestamp()

    def __call__(self):
        return self.now


@pytest.fixture
def hours():
    return Hours()


@pytest.fixture
async def double(hours):
    async with TelegramDouble(clock=hours) as running:
        running.channel("@press", -1001)
        running.say(7, "/start")
        await running.updates.get({"offset": -1})
        running.updates._waiting.clear()
        yield running


@pytest.fixture
async def line():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def call(double, line):
    """One call by JSON: the result, or (code, description)."""

    async def made(method, **given):
        async with line.post(f"{double.url}/bot{double.token}/{method}", json=given) as answer:
            said = await answer.json()
        assert answer.status == (200 if said["ok"] else said["error_code"])
        return said["result"] if said["ok"] else (said["error_code"], said["description"])

    return made


@pytest.fixture
def form(double, line):
    """One call by a form, files in it."""

    async def made(method, files=None, **given):
        body = aiohttp.FormData(given)
        for name, content in (files or {}).items():
            body.add_field(name, BytesIO(content), filename=f"{name}.png", content_type="image/png")
        async with line.post(f"{double.url}/bot{double.token}/{method}", data=body) as answer:
            said = await answer.json()
        return said["result"] if said["ok"] else (said["error_code"], said["description"])

    return made


def bad(text):
    return 400, f"Bad Request: {text}"


# -- parameters
def test_the_extract_of_the_description_is_cut_the_same_again():
    assert make_botapi.written(rules.API) == make_botapi.HERE.read_text()
    assert {kind for one in rules.METHODS.values() for field in one.values() for kind in field["types"]} <= {
        *rules.PLAIN,
        *rules.TYPES,
        *(f"Array of {kind}" for kind in (*rules.PLAIN, *rules.TYPES)),
    }


async def test_nothing_is_heard_without_the_token(double, line):
    async with line.get(f"{double.url}/bot4242:wrong/getMe") as answer:
        assert (answer.status, (await answer.json())["description"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("method", "given", "says"),
    [
        ("sendMesage", {}, (404, "Not Found: method not found")),
        ("sendMessage", {"chat_id": 7}, bad("message text is empty")),
        ("sendMessage", {"text": "x"}, bad("chat_id is empty")),
        ("sendMessage", {"chat_id": 7, "text": 5}, bad("text must be String")),
        ("sendMessage", {"chat_id": 7.5, "text": "x"}, bad("chat_id must be Integer or String")),
        ("sendMessage", {"chat_id": True, "text": "x"}, bad("chat_id must be Integer or String")),
        ("sendMessage", {"chat_id": 7, "text": "x", "disable_notification": "yes"}, None),
        ("sendMessage", {"chat_id": 7, "text": "x", "reply_to_message_id": 1}, None),
        ("sendMessage", {"chat_id": 7, "text": "x", "disable_web_page_preview": True}, None),
        ("sendMessage", {"chat_id": 7, "text": "x", "link_preview_options": {"is_disable": True}}, None),
        ("sendMessage", {"chat_id": 7, "text": "x", "reply_parameters": {}}, None),
        ("sendMessage", {"chat_id": 7, "text": "x", "reply_markup": {"inline_keyboard": [BUTTON]}}, None),
        ("editMessageText", {"chat_id": 7, "text": "x"}, bad("message identifier is not specified")),
        ("editMessageMedia", {"chat_id": 7, "message_id": 1, "media": {"type": "foto", "media": "x"}}, None),
        ("deleteMessages", {"chat_id": 7, "message_ids": ["1"]}, None),
        ("sendPhoto", {"chat_id": 7, "photo": "attach://p"}, bad("file attach://p was not attached")),
    ],
)
async def test_calls_are_held_to_the_description(call, double, method, given, says):
    answer = await call(method, **given)
    assert answer == says or (says is None and answer[0] == 400), answer
    assert double.messages == []


async def test_a_form_says_the_same_as_json(form, double):
    markup = json.dumps({"inline_keyboard": [[BUTTON]]})
    sent = await form("sendMessage", chat_id="7", text="5", disable_notification="true", reply_markup=markup)
    assert sent["text"] == "5"
    (seen,) = double.seen(7)
    assert (seen["silent"], seen["keyboard"]) == (True, [[BUTTON]])


# -- texts
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<b>x", "can't parse entities: Can't find end tag corresponding to start tag \"b\""),
        ("<p>x</p>", 'can\'t parse entities: Unsupported start tag "p" at byte offset 0'),
        ("a < b", "can't parse entities: "),
        (" \u200b\n", "message text is empty"),
        ("<b> </b>", "message text is empty"),
        ("x" * 4097, "message is too long"),
        ("🙂" * 2049, "message is too long"),
        ("<b>x</b> " * 101, "too many entities"),
    ],
)
async def test_texts_are_judged_by_telegrams_own_parser_and_measured_after_it(call, text, says):
    code, said = await call("sendMessage", chat_id=7, text=text, **HTML)
    assert code == 400
    assert said.startswith(f"Bad Request: {says}")


@pytest.mark.parametrize("text", ["&lt;" * 4096, "🙂" * 2048, "a & b", "<b>x</b> " * 100])
async def test_what_fits_after_parsing_is_taken(call, text):
    assert (await call("sendMessage", chat_id=7, text=text, **HTML))["message_id"]


async def test_entities_are_those_that_telegram_would_make(call, double):
    sent = await call("sendMessage", chat_id=7, text="<b>#Viza</b> <code>#no</code> https://a.az #2026", **HTML)
    assert [(one["type"], one["offset"], one["length"]) for one in sent["entities"]] == [
        ("bold", 0, 5),
        ("hashtag", 0, 5),
        ("code", 6, 3),
        ("url", 10, 12),
    ]
    assert double.seen(7)[0]["entities"] == ["textEntityTypeBold", "textEntityTypeCode"]


@pytest.mark.parametrize(
    ("html", "kept", "marks"),
    [
        (" \n a b \n\n", "a b", []),
        ("\n<b>a</b> \n", "a", [("bold", 0, 1)]),
        (" <b> a </b>\n", " a", [("bold", 0, 2)]),
        ("<b>a</b><i> \n</i>", "a", [("bold", 0, 1)]),
    ],
)
async def test_the_white_space_around_a_text_is_not_kept(call, html, kept, marks):
    sent = await call("sendMessage", chat_id=7, text=html, parse_mode="HTML")
    assert sent["text"] == kept
    assert [(one["type"], one["offset"], one["length"]) for one in sent.get("entities", [])] == marks


async def test_entities_may_be_given_and_must_lie_within(call):
    entity = {"type": "bold", "offset": 0, "length": 2}
    sent = await call("sendMessage", chat_id=7, text="ab", entities=[entity])
    assert sent["entities"] == [entity]
    assert (await call("sendMessage", chat_id=7, text="a", entities=[entity]))[0] == 400
    assert (await call("sendMessage", chat_id=7, text="ab", entities=[entity], **HTML))[0] == 400


# -- keyboards, commands
@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([[{"text": "x", "callback_data": "я" * 33}]], "BUTTON_DATA_INVALID"),
        ([[{"text": "x", "callback_data": ""}]], "BUTTON_DATA_INVALID"),
        ([[{"text": "x"}]], "exactly one action is needed for a button"),
        ([[{"text": "x", "url": "https://a.az", "callback_data": "y"}]], "exactly one action"),
        ([[{"text": " ", "callback_data": "y"}]], "text buttons must have a text"),
        ([[{"text": "x", "url": "http://localhost/a"}]], "inline keyboard button URL 'http://localhost/a' is invalid"),
        ([[{"text": "x", "url": "javascript:alert(1)"}]], "inline keyboard button URL"),
        ([[{"text": "x", "url": "https://[::1"}]], "inline keyboard button URL"),
        ([[{"text": "x", "callback_data": "y"}] * 9], "reply markup is too long"),
        ([[{"text": "x", "callback_data": "y"}]] * 101, "reply markup is too long"),
        ([[{"text": "x" * 5200, "callback_data": "y"}]] * 2, "reply markup is too long"),
    ],
)
async def test_keyboards_have_limits(call, rows, says):
    code, said = await call("sendMessage", chat_id=7, text="x", reply_markup={"inline_keyboard": rows})
    assert (code, said[: len(says) + 13]) == (400, f"Bad Request: {says}")


@pytest.mark.parametrize(
    ("method", "given", "says"),
    [
        ("setMyCommands", {"commands": [{"command": "Start", "description": "x"}]}, "BOT_COMMAND_INVALID"),
        ("setMyCommands", {"commands": [{"command": "é", "description": "x"}]}, "BOT_COMMAND_INVALID"),
        ("setMyCommands", {"commands": [{"command": "a", "description": ""}]}, "BOT_COMMAND_DESCRIPTION_INVALID"),
        ("setMyCommands", {"commands": [{"command": "a", "description": "x"}] * 101}, "BOT_COMMANDS_TOO_MUCH"),
        ("setMyCommands", {"commands": [], "language_code": "aze"}, "invalid language code specified"),
        ("setMyDescription", {"description": "x" * 513}, "the description is too long"),
        ("setMyShortDescription", {"short_description": "x" * 121}, "the short description is too long"),
    ],
)
async def test_what_the_bot_says_of_itself_has_limits(call, double, method, given, says):
    assert await call(method, **given) == bad(says)
    assert double.settings == {}


async def test_commands_are_kept_by_language_and_scope(call):
    for language, scope in (("", "default"), ("ru", "default"), ("ru", "all_private_chats")):
        commands = [{"command": "a", "description": f"{language} {scope}"}]
        await call("setMyCommands", commands=commands, language_code=language, scope={"type": scope})
    found = await call("getMyCommands", language_code="ru", scope={"type": "all_private_chats"})
    assert found == [{"command": "a", "description": "ru all_private_chats"}]
    assert await call("deleteMyCommands", language_code="ru")
    assert await call("getMyCommands", language_code="ru") == []
    assert (await call("getMyCommands"))[0]["description"] == " default"


# -- photos
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "file must be non-empty"),
        (b"\xff\xd8\xffnot a picture", "IMAGE_PROCESS_FAILED"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "IMAGE_PROCESS_FAILED"),
        (png(9000, 1001), "PHOTO_INVALID_DIMENSIONS"),
        (png(210, 10), "PHOTO_INVALID_DIMENSIONS"),
        (
            png() + b"x" * 10_485_760,
            f"file of size {len(png()) + 10_485_760} bytes is too big for a photo; the maximum size is 10485760 bytes",
        ),
    ],
)
async def test_pictures_have_limits(form, double, content, says):
    assert await form("sendPhoto", {"photo": content}, chat_id="7") == bad(says)
    assert double.messages == []


async def test_a_picture_is_uploaded_once_and_named_from_then_on(form, call, double, line):
    sent = await form("sendPhoto", {"photo": png(100, 60)}, chat_id="7", caption="<b>hi</b>", parse_mode="HTML")
    biggest = sent["photo"][-1]
    assert (sent["caption"], biggest["width"], biggest["height"]) == ("hi", 100, 60)
    again = await call("sendPhoto", chat_id="@press", photo=biggest["file_id"])
    assert again["photo"][-1] == biggest
    assert [one["uploaded"] for one in double.messages] == [True, False]
    about = await call("getFile", file_id=biggest["file_id"])
    async with line.get(f"{double.url}/file/bot{double.token}/{about['file_path']}") as answer:
        assert await answer.read() == png(100, 60)
    assert await call("sendDocument", chat_id=7, document=biggest["file_id"]) == bad(
        "can't use file of type Photo as Document"
    )
    assert await call("sendPhoto", chat_id=7, photo="AgACnever") == bad("wrong file identifier/HTTP URL specified")
    assert await call("sendPhoto", chat_id=7, photo="https://a.az/x.png") == bad("failed to get HTTP URL content")
    assert await call("sendPhoto", chat_id=7, photo=biggest["file_id"], caption="x" * 1025) == bad(
        "message caption is too long"
    )


async def test_a_picture_takes_another_ones_place_and_its_caption_is_edited(form, call, double):
    sent = await form("sendPhoto", {"photo": png()}, chat_id="7", caption="old")
    where = {"chat_id": 7, "message_id": sent["message_id"]}
    assert (await call("editMessageCaption", **where, caption="new"))["caption"] == "new"
    assert await call("editMessageText", **where, text="x") == bad("there is no text in the message to edit")
    assert await call("editMessageCaption", **where, caption="new") == bad(UNMODIFIED)
    media = json.dumps({"type": "photo", "media": "attach://other", "caption": "third"})
    changed = await form(
        "editMessageMedia", {"other": png(shade=9)}, media=media, **{k: str(v) for k, v in where.items()}
    )
    assert changed["photo"][-1]["file_id"] != sent["photo"][-1]["file_id"]
    assert double.seen(7)[0]["edits"] == 2
    text = await call("sendMessage", chat_id=7, text="x")
    assert await call("editMessageCaption", chat_id=7, message_id=text["message_id"], caption="y") == bad(
        "there is no caption in the message to edit"
    )


UNMODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content"
    " and reply markup of the message"
)


# -- who may be written to
@pytest.mark.parametrize(
    ("order", "chat", "says"),
    [
        ({}, 8, (403, "Forbidden: bot can't initiate conversation with a user")),
        ({}, -9, bad("chat not found")),
        ({}, "@nobody", bad("chat not found")),
        ({"do": "block", "chat": 7}, 7, (403, "Forbidden: bot was blocked by the user")),
        ({"do": "deactivate", "chat": 7}, 7, (403, "Forbidden: user is deactivated")),
        ({"do": "rights", "name": "@press", "member": {"status": "left"}}, "@press", "not a member of the channel"),
        ({"do": "rights", "name": "@press", "member": {"status": "kicked"}}, -1001, "kicked from the channel"),
        (
            {"do": "rights", "name": "@press", "member": {"status": "administrator"}},
            "@press",
            bad("need administrator rights in the channel chat"),
        ),
        (
            {"do": "channel", "name": "@g", "number": -5, "kind": "supergroup", "member": {"status": "restricted"}},
            "@g",
            bad("not enough rights to send text messages to the chat"),
        ),
        (
            {"do": "channel", "name": "@g", "number": -5, "kind": "group", "member": {"status": "kicked"}},
            -5,
            (403, "Forbidden: bot was kicked from the group chat"),
        ),
    ],
)
async def test_who_may_not_be_written_to_is_said_why(call, double, order, chat, says):
    if order:
        getattr(double, order.pop("do"))(**order)
    answer = await call("sendMessage", chat_id=chat, text="x")
    if isinstance(says, str):
        says = (403, f"Forbidden: bot {'was' if 'kicked' in says else 'is'} {says} chat")
    assert answer == says
    assert double.messages == []


@pytest.mark.parametrize(
    "how",
    [{"permissions": {"can_send_photos": False}}, {"member": {"status": "restricted", "can_send_messages": True}}],
)
async def test_a_group_may_take_texts_and_no_pictures(form, call, double, how):
    double.channel("@g", -5, kind="supergroup", **{"member": {"status": "member"}, **how})
    assert (await call("sendMessage", chat_id="@g", text="x"))["text"] == "x"
    refused = await form("sendPhoto", {"one": png()}, chat_id="@g", photo="attach://one")
    assert refused == bad("not enough rights to send photos to the chat")


async def test_a_group_that_becomes_a_supergroup_has_another_id_and_knows_no_old_message(call, double, line):
    double.channel(-5, -5, kind="group")
    old = await call("sendMessage", chat_id=-5, text="x")
    update = double.migrate(-5, -1005)
    assert update["message"]["migrate_to_chat_id"] == -1005
    async with line.post(f"{double.url}/bot{double.token}/sendMessage", json={"chat_id": -5, "text": "x"}) as answer:
        said = await answer.json()
    assert said["description"] == "Bad Request: group chat was upgraded to a supergroup chat"
    assert said["parameters"] == {"migrate_to_chat_id": -1005}
    edit = await call("editMessageText", chat_id=-1005, message_id=old["message_id"], text="y")
    assert edit == bad("message to edit not found")
    assert (await call("sendMessage", chat_id=-1005, text="y"))["message_id"] == 1


# -- messages that stand
async def test_numbers_follow_each_other_in_a_channel_and_others_take_some(call, double):
    first = (await call("sendMessage", chat_id="@press", text="a"))["message_id"]
    assert double.post("@press", "theirs") == first + 1
    assert (await call("sendMessage", chat_id=-1001, text="b"))["message_id"] == first + 2
    assert [one["text"] for one in double.seen("@press")] == ["a", "b"]
    assert [one["text"] for one in double.seen(-1001, everyone=True)] == ["a", "theirs", "b"]


@pytest.mark.parametrize(
    ("method", "given", "says"),
    [
        ("editMessageText", {"text": "a"}, UNMODIFIED),
        ("editMessageText", {"message_id": 99, "text": "b"}, "message to edit not found"),
        ("editMessageReplyMarkup", {}, UNMODIFIED),
        ("deleteMessage", {"message_id": 99}, "message to delete not found"),
        ("deleteMessages", {"message_id": None, "message_ids": []}, "message identifiers are not specified"),
        ("forwardMessage", {"message_id": 99, "from_chat_id": "@press"}, "message to forward not found"),
        ("copyMessage", {"message_id": 99, "from_chat_id": "@press"}, "message to copy not found"),
        (
            "sendMessage",
            {"message_id": None, "text": "b", "reply_parameters": {"message_id": 99}},
            "message to be replied not found",
        ),
        ("sendMessage", {"message_id": None, "text": "b", "message_thread_id": 3}, "message thread not found"),
        ("sendChatAction", {"message_id": None, "action": "dancing"}, "wrong parameter action in request"),
    ],
)
async def test_what_does_not_stand_there_is_refused(call, method, given, says):
    sent = await call("sendMessage", chat_id="@press", text="a")
    asked = {"chat_id": "@press", "message_id": sent["message_id"]} | given
    assert await call(method, **{name: value for name, value in asked.items() if value is not None}) == bad(says)


async def test_an_edit_without_a_keyboard_takes_it_away(call, double):
    sent = await call("sendMessage", chat_id=7, text="a", reply_markup={"inline_keyboard": [[BUTTON]]})
    await call("editMessageText", chat_id=7, message_id=sent["message_id"], text="a")
    assert double.seen(7)[0]["keyboard"] == []


async def test_a_reply_may_go_without_what_it_replies_to(call, double):
    reply = {"message_id": 99, "allow_sending_without_reply": True}
    assert "reply_to_message" not in await call("sendMessage", chat_id=7, text="a", reply_parameters=reply)
    first = await call("sendMessage", chat_id=7, text="b")
    second = await call("sendMessage", chat_id=7, text="c", reply_parameters={"message_id": first["message_id"]})
    assert second["reply_to_message"]["text"] == "b"
    assert double.seen(7)[-1]["reply_to"] == first["message_id"]


async def test_after_48_hours_nothing_is_deleted_and_everything_is_edited(call, double, hours):
    sent = await call("sendMessage", chat_id="@press", text="a")
    where = {"chat_id": "@press", "message_id": sent["message_id"]}
    hours.now += 48 * 3600 + 1
    assert await call("deleteMessage", **where) == bad("message can't be deleted")
    assert (await call("deleteMessages", chat_id="@press", message_ids=[where["message_id"]]))[0] == 400
    assert (await call("editMessageText", **where, text="b"))["edit_date"] == int(hours.now)
    later = await call("sendMessage", chat_id="@press", text="c")
    assert await call("deleteMessages", chat_id="@press", message_ids=[later["message_id"], 999])
    assert [one["text"] for one in double.seen("@press")] == ["b"]


async def test_what_others_wrote_is_theirs(call, double):
    double.channel("@group", -7, kind="supergroup")
    theirs = double.post("@group")
    assert await call("editMessageText", chat_id="@group", message_id=theirs, text="b") == bad(
        "message can't be edited"
    )
    double.rights("@group", {"status": "member"})
    assert await call("deleteMessage", chat_id="@group", message_id=theirs) == bad("message can't be deleted")


async def test_a_post_is_looked_up_by_forwarding_it(call, double):
    double.channel(-50, -50, title="Audit")
    sent = await call("sendMessage", chat_id="@press", text="<b>a</b>", **HTML)
    seen = await call("forwardMessage", chat_id=-50, from_chat_id="@press", message_id=sent["message_id"])
    assert (seen["text"], seen["entities"]) == ("a", sent["entities"])
    assert seen["forward_origin"]["message_id"] == sent["message_id"]
    kept = await call("sendMessage", chat_id="@press", text="b", protect_content=True)
    where = {"from_chat_id": "@press", "message_id": kept["message_id"]}
    assert await call("forwardMessage", chat_id=-50, **where) == bad("message can't be forwarded")
    assert double.seen("@press")[1]["protected"]


async def test_topics_of_a_forum(call, double):
    double.channel("@forum", -8, kind="supergroup", threads={3: "open", 4: "closed"})
    sent = await call("sendMessage", chat_id="@forum", text="a", message_thread_id=3)
    assert (sent["message_thread_id"], sent["is_topic_message"]) == (3, True)
    assert await call("sendMessage", chat_id="@forum", text="a", message_thread_id=4) == bad("TOPIC_CLOSED")
    general = {"chat_id": "@forum", "message_thread_id": 1}
    assert await call("sendMessage", text="a", **general) == bad("message thread not found")
    assert await call("sendChatAction", action="typing", **general) == bad("message thread not found")
    assert "message_thread_id" not in await call("sendMessage", chat_id="@forum", text="a")


async def test_the_ledger_tells_what_people_see(call, double):
    for text in ("a", "a", "b"):
        await call("sendMessage", chat_id="@press", text=text)
    await call("editMessageText", chat_id="@press", message_id=3, text="c")
    assert double.duplicates() == [(-1001, "a", [1, 2])]
    await call("deleteMessage", chat_id="@press", message_id=2)
    assert double.duplicates() == []
    assert double.losses({"@press": ["a", "c"], 7: "a"}) == [(7, "a")]
    assert [(one["do"], one["id"]) for one in double.history if one["chat"] == -1001] == [
        ("send", 1),
        ("send", 2),
        ("send", 3),
        ("edit", 3),
        ("delete", 2),
    ]


async def test_answers_are_of_the_described_types(form, call, double):
    double.channel("@forum", -8, kind="supergroup", threads=[3])
    photo = await form("sendPhoto", {"photo": png()}, chat_id="@press", caption="<b>a</b> #Viza", parse_mode="HTML")
    file_id = photo["photo"][-1]["file_id"]
    text = await call("sendMessage", chat_id="@forum", text="x", message_thread_id=3)
    reply = {"message_id": text["message_id"]}
    for kind, answer in [
        ("Message", photo),
        ("Message", text),
        ("Message", await call("sendMessage", chat_id="@forum", text="x", message_thread_id=3, reply_parameters=reply)),
        ("Message", await call("forwardMessage", chat_id=7, from_chat_id="@press", message_id=photo["message_id"])),
        ("MessageId", await call("copyMessage", chat_id=7, from_chat_id="@press", message_id=photo["message_id"])),
        ("File", await call("getFile", file_id=file_id)),
        ("WebhookInfo", await call("getWebhookInfo")),
        ("ChatMemberAdministrator", await call("getChatMember", chat_id="@press", user_id=4242)),
        ("Update", double.say(7, "/start")),
        ("Update", double.block(7)),
        ("Update", double.rights("@press", {"status": "kicked"})),
    ]:
        assert rules.fits(kind, answer), (kind, answer)


# -- limits
def test_limits_of_a_chat_of_a_crowd_and_of_the_bot(hours):
    limits = Limits(hours)
    assert [limits.ask(7) for _ in range(4)] == [0, 0, 0, 1]  # a burst of three
    hours.now += 1
    assert limits.ask(7) == 0
    crowd = Limits(hours)
    for _ in range(20):
        assert crowd.ask(-1) == 0
        hours.now += 1.125
    assert crowd.ask(-1) == 38
    everybody = Limits(hours)
    assert [everybody.ask(chat) for chat in range(1, 32)] == [0] * 30 + [1]
    assert (limits.given, crowd.given, everybody.flooded["bot"]) == (1, 1, 1)


def test_who_does_not_heed_a_429_waits_longer_and_what_was_under_way_is_forgiven(hours):
    limits = Limits(hours)
    for _ in range(20):
        limits.ask(-1)
        hours.now += 1.125
    assert limits.ask(-1) == 38
    hours.now += 0.5
    assert limits.ask(-1) == 38  # it had crossed the answer on the line
    hours.now += 2
    assert limits.ask(-1) == 76
    hours.now += 76
    assert limits.ask(-1) == 0


async def test_a_429_says_how_long_twice_and_counts_edits_and_deletions(call, double, line):
    double.limits.on = True
    sent = await call("sendMessage", chat_id=7, text="a")
    where = {"chat_id": 7, "message_id": sent["message_id"]}
    await call("editMessageText", **where, text="b")
    await call("deleteMessage", **where)
    async with line.post(f"{double.url}/bot{double.token}/sendMessage", json={"chat_id": 7, "text": "c"}) as answer:
        said = await answer.json()
    assert (answer.status, answer.headers["Retry-After"], said["parameters"]) == (429, "1", {"retry_after": 1})
    assert said["description"] == "Too Many Requests: retry after 1"
    assert double.ledger()["flooded"] == {"7": 1}
    assert (await call("getChat", chat_id=7))["id"] == 7
    double.pass_time(1)
    assert (await call("sendMessage", chat_id=7, text="c"))["text"] == "c"


# -- updates
async def test_an_offset_confirms_and_a_negative_one_forgets(call, double):
    numbers = [double.say(7, f"{n}")["update_id"] for n in range(5)]
    first = await call("getUpdates", limit=2)
    assert [one["update_id"] for one in first] == numbers[:2]
    assert [one["update_id"] for one in await call("getUpdates", offset=numbers[3])] == numbers[3:]
    assert [one["update_id"] for one in await call("getUpdates", offset=-1)] == numbers[4:]
    assert double.pending == [(await call("getUpdates"))[0]]


async def test_only_what_was_allowed_comes_from_then_on(call, double):
    await call("getUpdates", allowed_updates=["my_chat_member"])
    double.say(7, "x")
    double.post("@press")
    double.block(7)
    assert [set(one) - {"update_id"} for one in await call("getUpdates")] == [{"my_chat_member"}]
    await call("getUpdates", allowed_updates=[])
    double.say(7, "x")
    assert len(double.pending) == 2


async def test_a_second_poll_ends_the_first_and_a_webhook_ends_both(call, double):
    first = asyncio.create_task(call("getUpdates", timeout=20))
    await double.until(lambda: len(double.made("getUpdates")) == 1)
    second = asyncio.create_task(call("getUpdates", timeout=20))
    text = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
    assert await first == (409, text)
    await call("setWebhook", url="https://a.az/hook")
    assert await second == (409, "Conflict: terminated by setWebhook request")
    third = await call("getUpdates")
    assert third[0] == 409
    assert "while webhook is active" in third[1]


async def test_updates_are_kept_for_a_day(call, double, hours):
    double.say(7, "old")
    hours.now += 24 * 3600
    new = double.say(7, "new")
    assert await call("getUpdates") == [new]


async def test_a_button_is_answered_once_and_within_a_quarter_of_an_hour(call, double, hours):
    await call(
        "sendMessage", chat_id=7, text="a", reply_markup={"inline_keyboard": [[{"text": "b", "callback_data": "c"}]]}
    )
    late = bad("query is too old and response timeout expired or query ID is invalid")
    query = double.tap(7, "b")["callback_query"]
    assert rules.fits("CallbackQuery", query)
    assert await call("answerCallbackQuery", callback_query_id=query["id"], text="x" * 201) == bad("MESSAGE_TOO_LONG")
    query = double.tap(7, "b")["callback_query"]
    assert await call("answerCallbackQuery", callback_query_id=query["id"])
    assert await call("answerCallbackQuery", callback_query_id=query["id"]) == late
    query = double.tap(7, "b")["callback_query"]
    hours.now += 901
    assert await call("answerCallbackQuery", callback_query_id=query["id"]) == late


# -- webhooks
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"url": "http://a.az/"}, "bad webhook: An HTTPS URL must be provided for webhook"),
        ({"url": "https://a.az:8080/"}, "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"),
        ({"url": "https://a.az/", "secret_token": "x" * 257}, "secret token is too long"),
        ({"url": "https://a.az/", "secret_token": "a b"}, "secret token contains unallowed characters"),
        ({"url": "https://a.az/", "max_connections": 101}, "max_connections must be between 1 and 100"),
    ],
)
async def test_webhooks_have_rules(call, double, given, says):
    code, said = await call("setWebhook", **given)
    assert (code, said.startswith(f"Bad Request: {says}")) == (400, True)
    assert double.webhook == {}


async def test_a_webhook_is_not_set_twice_within_a_second(call, hours):
    assert await call("setWebhook", url="https://a.az/")
    assert await call("setWebhook", url="https://a.az/") == (429, "Too Many Requests: retry after 1")
    hours.now += 1
    assert await call("setWebhook", url="https://a.az/")
    assert await call("deleteWebhook")


class Site:
    """Answers a webhook with the statuses it was given, then 200; keeps what came."""

    def __init__(self, *statuses):
        self.statuses, self.came, self.at_once, self.most = list(statuses), [], 0, 0

    async def called(self, request):
        body = await request.json()
        self.came.append((body["message"]["chat"]["id"], body["message"]["text"], request.headers.get(SECRET)))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.005)
        self.at_once -= 1
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Retry-After": "9"} if status == 503 else {})


SECRET = "X-Telegram-Bot-Api-Secret-Token"


@pytest.fixture
async def listening(double):
    """Lets `https://a.az` be a site on this machine."""
    runners, waits = [], []

    async def nap(seconds):
        waits.append(seconds)
        await asyncio.sleep(0)

    async def made(site):
        app = web.Application()
        app.router.add_post("/hook", site.called)
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        where = web.TCPSite(runner, "127.0.0.1", 0)
        await where.start()
        double.updates.sleep = nap
        double.updates.lead("https://a.az", f"http://127.0.0.1:{where._server.sockets[0].getsockname()[1]}")
        return waits

    yield made
    await double.updates.close()
    for runner in runners:
        await runner.cleanup()


async def test_a_webhook_is_called_until_it_says_yes_in_order_with_the_secret(call, double, listening):
    site = Site(500, 503, 302)
    waits = await listening(site)
    await call("setWebhook", url="https://a.az/hook", secret_token="s3cret")
    for text in ("1", "2"):
        double.say(7, text)
    await double.until(lambda: len(double.updates.sent) == 2)
    info = await call("getWebhookInfo")
    assert (info["url"], info["pending_update_count"]) == ("https://a.az/hook", 2)
    assert info["last_error_message"].startswith("Wrong response from the webhook: 50")
    await double.until(lambda: not double.pending)
    assert site.came == [(7, "1", "s3cret")] * 4 + [(7, "2", "s3cret")]
    assert waits[1] == 9  # its Retry-After
    assert [status for _, status in double.updates.sent] == [500, 503, 302, 200, 200]
    assert "last_error_message" not in await call("getWebhookInfo")


async def test_a_webhook_is_called_side_by_side_for_different_chats_up_to_its_limit(call, double, listening):
    site = Site()
    await listening(site)
    for chat in range(10, 16):
        double.say(chat, "x")
    await call("setWebhook", url="https://a.az/hook", max_connections=3)
    await double.until(lambda: not double.pending)
    assert (len(site.came), site.most) == (6, 3)


# -- faults
@pytest.mark.parametrize(
    ("kind", "raises", "stands"),
    [
        ("drop_before", aiohttp.ClientError, 0),
        ("drop_after", aiohttp.ClientError, 1),
        ("stall_before", TimeoutError, 0),
        ("stall", TimeoutError, 1),
        ("502", None, 0),
        ("proxy", None, 0),
        ("not_json", None, 1),
        ("cut", aiohttp.ClientPayloadError, 1),
        ("502 done", None, 1),
        ("proxy done", None, 1),
    ],
)
async def test_faults_happen_before_or_after_the_call_is_done(double, line, kind, raises, stands):
    name, *done = kind.split()
    double.fault(name, chat=7, **({"done": True} if done else {}))
    url, wait = f"{double.url}/bot{double.token}/sendMessage", aiohttp.ClientTimeout(total=0.1)
    with pytest.raises(raises) if raises else nullcontext():
        async with line.post(url, json={"chat_id": 7, "text": "x"}, timeout=wait) as answer:
            assert (await answer.read()).startswith(b"<html>")
    assert len(double.seen(7)) == stands


@pytest.mark.parametrize("kind", ["empty", "no_result", "strange"])
@pytest.mark.parametrize("done", [False, True])
async def test_an_answer_that_says_nothing_may_stand_for_a_call_that_was_done(double, line, kind, done):
    double.fault(kind, chat=7, done=done)
    url = f"{double.url}/bot{double.token}/sendMessage"
    async with line.post(url, json={"chat_id": 7, "text": "x"}) as answer:
        assert await answer.json() == NONSENSE[kind]
    assert len(double.seen(7)) == done


@pytest.mark.parametrize(("kind", "counts"), [("502", True), ("drop_after", True), ("drop_before", False)])
async def test_a_call_that_arrives_counts_whatever_becomes_of_it(double, line, kind, counts):
    double.limits.on = True
    double.fault(kind, chat=7, times=3)
    url = f"{double.url}/bot{double.token}/sendMessage"
    for _ in range(3):
        with suppress(aiohttp.ClientError):
            async with line.post(url, json={"chat_id": 7, "text": "x"}) as answer:
                assert answer.status == 502
    async with line.post(url, json={"chat_id": 7, "text": "x"}) as answer:
        assert answer.status == (429 if counts else 200)


async def test_faults_are_for_a_method_a_chat_so_often_and_after_so_many(call, double):
    double.fault("refuse", method="*", chat=-1001, skip=1, times=2, code=418, text="Teapot")
    answers = [await call("sendMessage", chat_id=chat, text="x") for chat in (7, -1001, -1001, 7, -1001, -1001)]
    assert [isinstance(one, dict) for one in answers] == [True, True, False, True, False, True]
    with pytest.raises(ValueError, match="is no fault"):
        double.fault("dorp")


async def test_a_server_that_is_down_refuses_connections_and_comes_back_where_it_was(call, double):
    port = double.port
    await double.down()
    with pytest.raises(aiohttp.ClientConnectorError):
        await call("getMe")
    await double.up()
    assert (double.port, (await call("getMe"))["username"]) == (port, "press_double_bot")


async def test_a_bot_that_logged_out_of_the_public_server_is_not_known_there(call):
    assert await call("logOut") is True
    assert await call("getMe") == (400, "Logged out")


# -- as a program
async def test_it_takes_orders_and_shows_its_ledger_over_http(double, line):
    async def order(**values):
        async with line.post(f"{double.url}/control", json=values) as answer:
            return answer.status

    assert await order(do="say", chat=9, text="/start") == 200
    assert await order(do="channel", name="@x", number=-3, kind="supergroup", threads=[2]) == 200
    assert await order(do="rights", name="@x", member={"status": "left"}) == 200
    assert await order(do="pass_time", hours=1) == 200
    assert await order(do="fault", kind="dorp") == 409
    assert await order(do="tap", chat=9, label="none") == 409
    assert await order(do="tap", chat=10, label="", data="new:::") == 409
    assert await order(do="say", chat=9, text="what?", reply_to=99999) == 409
    assert await order(do="__init__") == 400
    async with line.get(f"{double.url}/ledger") as answer:
        found = await answer.json()
    assert {"messages", "history", "calls", "duplicates", "flooded", "webhook", "pending_updates"} <= set(found)


def test_pictures_are_real():
    assert rules.check_photo(rules.Upload("a.png", png(30, 20))) == (30, 20)
    assert Path(make_botapi.__file__).name == "make_botapi.py"
