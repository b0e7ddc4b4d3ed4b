"""What a refusal means for an operation, as a table."""

from __future__ import annotations

import pytest
from telegram.error import BadRequest, ChatMigrated, Forbidden, NetworkError, TimedOut

from bots.telegram.answers import Meaning, meaning, repeatable
from bots.telegram.copies import OWN
from bots.telegram.plan import DASH, Delete, Edit, Reply, Retract, Send
from bots.telegram.render import Part
from bots.telegram.transport import Flooded
from syndicator.domain.letters import Later, Refused, Unknown
from syndicator.domain.model import Attachment

TEXT = Part("a", "a")
PHOTO = Part("a", "a", photo=Attachment("/media/a.jpg", "image/jpeg"))
SEND, SHOW, REPLY = Send(OWN, TEXT), Send(OWN, PHOTO), Reply(1, TEXT)
EDIT, CAPTION, PICTURE = Edit(OWN, 1, TEXT), Edit(OWN, 1, PHOTO, True), Edit(OWN, 1, PHOTO, True, True)
DELETE, RETRACT = Delete(OWN, 1), Retract(OWN, 1, DASH)
UNMODIFIED = BadRequest("Message is not modified: specified new message content and reply markup are exactly the same")
MARKUP = BadRequest("Can't parse entities: can't find end tag")
ALL = [SEND, SHOW, REPLY, EDIT, CAPTION, PICTURE, DELETE, RETRACT]


@pytest.mark.parametrize(
    ("operation", "error", "found"),
    [
        *((one, UNMODIFIED, Meaning.DONE) for one in (EDIT, CAPTION, PICTURE, RETRACT)),
        *(
            (one, BadRequest(words), Meaning.DONE)
            for one in (EDIT, CAPTION, PICTURE, RETRACT)
            for words in ("Message to edit not found", "MESSAGE_ID_INVALID")
        ),
        *((one, BadRequest("Message can't be edited"), Meaning.STUCK) for one in (EDIT, CAPTION, PICTURE, RETRACT)),
        (DELETE, BadRequest("Message to delete not found"), Meaning.DONE),
        (DELETE, BadRequest("Message can't be deleted"), Meaning.FIXED),
        (DELETE, BadRequest("MESSAGE_DELETE_FORBIDDEN"), Meaning.FIXED),
        (DELETE, BadRequest("not enough rights"), Meaning.FIXED),
        (SHOW, BadRequest("PHOTO_INVALID_DIMENSIONS"), Meaning.NO_PICTURE),
        (SHOW, NetworkError("Request Entity Too Large (413)"), Meaning.NO_PICTURE),
        (SHOW, BadRequest("not enough rights to send photos to the chat"), Meaning.NO_PICTURE),
        (PICTURE, BadRequest("Wrong file identifier/HTTP URL specified"), Meaning.NO_PICTURE),
        (SEND, BadRequest("PHOTO_INVALID_DIMENSIONS"), Meaning.PLAIN),
        *((one, MARKUP, Meaning.PLAIN) for one in ALL if one is not DELETE),
        *((one, Forbidden("bot was blocked by the user"), Meaning.OUTCOME) for one in ALL),
        *((one, Flooded(7), Meaning.OUTCOME) for one in ALL),
        *((one, ChatMigrated(-1002), Meaning.OUTCOME) for one in ALL),
        *((one, TimedOut("no answer"), Meaning.OUTCOME) for one in ALL),
        *((one, BadRequest("Chat not found"), Meaning.OUTCOME) for one in ALL),
    ],
)
def test_each_refusal_has_its_meaning(operation, error, found):
    assert meaning(operation, error) is found


@pytest.mark.parametrize("operation", ALL)
def test_only_a_message_can_be_in_doubt(operation):
    told = repeatable(operation, Unknown("the line broke", {"chat": 7}))
    if isinstance(operation, Send | Reply):
        assert told == Unknown("the line broke", {"chat": 7})
    else:
        assert isinstance(told, Later)
        assert (told.counts, told.answer) == (True, {"chat": 7})
    assert repeatable(operation, Refused("x")) == Refused("x")
