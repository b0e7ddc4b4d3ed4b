"""What the bot may do in a chat of the office's own, and what to do where it may not.

Rules, in order:

1. In a channel it has to be an administrator that may post; its own posts it may then edit, and delete for 48 hours
   (https://core.telegram.org/bots/api#deletemessage: older ones become notices).
2. In a group it has to be a member that may write; what everybody may there counts for a plain member.
3. A private chat is always its own, once the person has written to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["trouble_with"]


def trouble_with(kind: str, member: Mapping[str, Any], permissions: Mapping[str, Any] | None = None) -> str:
    """Why a bot with this membership (a ChatMember) may not post there; "" if it may.

    `kind` is the chat's type, `permissions` what the chat allows everybody (a ChatPermissions).
    """
    status = str(member.get("status", ""))
    if kind == "private" or status == "creator":
        return ""
    if kind == "channel":
        if status == "administrator" and member.get("can_post_messages"):
            return ""
        missing = "has no right to post messages" if status == "administrator" else "is no administrator"
        return f"the bot {missing}: make it an administrator that may post messages"
    allowed = {
        "administrator": True,
        "member": (permissions or {}).get("can_send_messages", True),
        "restricted": member.get("is_member") and member.get("can_send_messages"),
    }
    if allowed.get(status):
        return ""
    return f"the bot may not write there (it is: {status}); add it, or make it an administrator"
