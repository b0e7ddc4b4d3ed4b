"""What a chat's answer in the ledger says, for those who are not the channel: the numbers of its messages. Pure.

A channel of chats writes more into its answers, for itself; this much of it is everybody's:

- `messages`: the numbers of the copy's messages, in order, 0 where nobody can tell; `seals` beside them.
- `doubt`: the places that are open, each `[place, seal, ...]`; `adrift`: those of earlier letters.
- `reply`: the number of the message that told of a correction or a withdrawal; `gone`: the copy was taken away.

Rules, in order:

1. What an operator found goes first into the places that were open, then behind the last message.
2. Of a message that is found by hand nobody knows what it shows: its seal is empty, so the next letter changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["is_about", "message_numbers", "was_said", "with_found", "with_said", "within_reach"]

Answer = Mapping[str, Any]


def message_numbers(answer: Answer) -> list[int]:
    """The numbers of the copy's messages, in order."""
    found = answer.get("messages")
    return list(found) if isinstance(found, list | tuple) else []


def is_about(answer: Answer, message: int) -> bool:
    """Whether that message is one of it: of the copy, or the word about it."""
    return message in (*message_numbers(answer), answer.get("reply"))


def was_said(answer: Answer) -> bool:
    """Whether its reader was told in a message of its own."""
    return "reply" in answer


def with_said(answer: Answer, messages: Sequence[int]) -> dict[str, Any]:
    """With the last of them as the word that was said."""
    return {**{key: value for key, value in answer.items() if key != "doubt"}, "reply": messages[-1]}


def with_found(answer: Answer, messages: Sequence[int]) -> dict[str, Any]:
    """With these numbers in the places that were open, then behind the last."""
    kept = {key: value for key, value in answer.items() if key != "doubt"}
    doubts = [list(one) for one in answer.get("doubt", ())]
    found, seals = _sealed(answer)
    for place, number in enumerate(messages):
        at, seal, *_ = doubts[place] if place < len(doubts) else (len(found), "")
        found.insert(at, number)
        seals.insert(at, seal)
    left = doubts[len(messages) :]
    return {**kept, "messages": found, "seals": seals, **({"doubt": left} if left else {})}


def within_reach(answer: Answer, messages: Sequence[int]) -> dict[str, Any]:
    """What a later letter knows once these messages of an earlier one were found: they stand, and none is adrift."""
    kept = {key: value for key, value in answer.items() if key != "gone"}
    found, seals = _sealed(answer)
    return {**kept, "messages": [*found, *messages], "seals": [*seals, *("" for _ in messages)], "adrift": []}


def _sealed(answer: Answer) -> tuple[list[int], list[str]]:
    found, seals = message_numbers(answer), list(answer.get("seals", ()))
    return found, [*seals, *("" for _ in range(len(found) - len(seals)))]
