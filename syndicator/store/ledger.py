"""The ledger: messages, their deliveries, batches, and every move of a delivery's state. One name for its parts.

due -> sending -> sent | deferred | failed | unknown | suppressed; every move is compare-and-set, so that each function
may be called twice. In the order of a release's way:

1. `announce`, `confirmation`, `welcome`, `ask_address`, `tell_moved`, `open_messages`, `was_told` (messages)
   say what is to be told.
2. `write_matches` (matching) and `fan_out` (fanout) write to whom.
3. `open_batches`, `settle`, `being_sent`, `sweep`, `next_deferred`, `end_quiet` (sending) and `claim`, `claim_each`
   (claiming) move it out.
4. `recover`, `recover_dead`, `retry`, `reopened` (recovery) set going again what stands still; `forget_closed`
   (batching) tidies.
5. `listing`, `streamed`, `counts`, `oldest_due` (looking) show it.
"""

from __future__ import annotations

from syndicator.store.batching import forget_closed
from syndicator.store.claiming import Claimed, Wish, claim, claim_each
from syndicator.store.fanout import fan_out
from syndicator.store.looking import counts, listing, oldest_due, streamed
from syndicator.store.matching import write_matches
from syndicator.store.messages import (
    Message,
    announce,
    ask_address,
    confirmation,
    open_messages,
    tell_moved,
    was_told,
    welcome,
)
from syndicator.store.recovery import recover, recover_dead, reopened, retry
from syndicator.store.sending import (
    OpenBatch,
    Settlement,
    being_sent,
    end_quiet,
    next_deferred,
    open_batches,
    settle,
    sweep,
)
from syndicator.store.told import Told

__all__ = [
    "Claimed",
    "Message",
    "OpenBatch",
    "Settlement",
    "Told",
    "Wish",
    "announce",
    "ask_address",
    "being_sent",
    "claim",
    "claim_each",
    "confirmation",
    "counts",
    "end_quiet",
    "fan_out",
    "forget_closed",
    "listing",
    "next_deferred",
    "oldest_due",
    "open_batches",
    "open_messages",
    "recover",
    "recover_dead",
    "reopened",
    "retry",
    "settle",
    "streamed",
    "sweep",
    "tell_moved",
    "was_told",
    "welcome",
    "write_matches",
]
