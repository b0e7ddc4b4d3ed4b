"""What the bot is in a chat, and what that allows it."""

from __future__ import annotations

from tests.telegram.faults import migrated
from tests.telegram.rules import Refusal, bad, fits

BOT = {"id": 4242, "is_bot": True, "first_name": "Press", "username": "press_double_bot"}
AT_ALL = ("can_be_edited", "is_anonymous", "can_manage_chat", "can_delete_messages", "can_manage_video_chats")
MORE = ("can_restrict_members", "can_promote_members", "can_change_info", "can_invite_users")
STORIES = ("can_post_stories", "can_edit_stories", "can_delete_stories")
MAY = (
    "can_send_messages",
    *(
        f"can_send_{what}"
        for what in ("audios", "documents", "photos", "videos", "video_notes", "voice_notes", "polls")
    ),
    "can_send_other_messages",
    "can_add_web_page_previews",
    "can_react_to_messages",
    "can_edit_tag",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
)
SENDS = {
    "post": ("can_send_messages", "text messages"),
    "photo": ("can_send_photos", "photos"),
    "document": ("can_send_documents", "documents"),
}


def membership(kind, *, may_post=True, member=None):
    """What the bot is in a chat: an administrator with all rights, unless the test says otherwise."""
    if member is None:
        member = {"status": "administrator", "can_delete_messages": True, "can_post_messages": may_post}
        member |= {"can_edit_messages": True} if kind == "channel" else {}
    full = {"administrator": dict.fromkeys((*AT_ALL, *MORE, *STORIES), False) | {"can_manage_chat": True}}
    full |= {"creator": {"is_anonymous": False}, "kicked": {"until_date": 0}, "banned": {"until_date": 0}}
    full |= {"restricted": dict.fromkeys(MAY, False) | {"is_member": True, "until_date": 0}}
    found = {**full.get(member["status"], {}), **member, "user": BOT}
    names = {"kicked": "Banned", "creator": "Owner"}
    kind = f"ChatMember{names.get(member['status'], member['status'].title())}"
    if not fits(kind, found):
        raise ValueError(f"{member} is no {kind}")
    return found


def check_place(chat):
    if chat.moved_to is not None:
        raise migrated(chat.moved_to)
    if chat.deleted:
        raise Refusal(403, "Forbidden: the group chat was deleted")
    status = chat.member["status"]
    if status == "kicked":
        raise Refusal(403, f"Forbidden: bot was kicked from the {chat.type} chat")
    if status == "left" or (status == "restricted" and not chat.member["is_member"]):
        raise Refusal(403, f"Forbidden: bot is not a member of the {chat.type} chat")


def check_right(chat, action):
    """What the bot's membership allows. Its own posts it may edit and delete wherever it may post."""
    member = chat.member
    if member["status"] == "creator":
        return
    sends = SENDS.get(action)
    if chat.type == "channel":
        may = ("can_post_messages",) if sends else ("can_post_messages", f"can_{action}_messages")
        if member["status"] != "administrator" or not any(member.get(right) for right in may):
            raise bad("need administrator rights in the channel chat")
    elif sends and member["status"] != "administrator":
        right, what = sends
        has = member if member["status"] == "restricted" else {right: True, **chat.permissions}
        if not has.get(right):
            raise bad(f"not enough rights to send {what} to the chat")
