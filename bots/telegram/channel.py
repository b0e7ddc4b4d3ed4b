"""Telegram as a way out: what people and channels are told of a release, and how their copies follow it.

Rules, in order:

1. A letter says which chat, and what; what the chat then should show is a task (`aims`), and a courier does it.
2. Letters of one chat go one after the other: what a channel shows stays in order, and an audit can count its ids.
3. `LANES` letters go side by side. At 25 messages a second and 200 ms for an answer 5 calls are on their way at any
   time; with claiming, settling and those that wait up to two seconds for their own chat, twice as many are needed.
4. What is withdrawn between the claim and the sending is not sent: the one question is asked here of what was read, and
   where a wait lies between reading and sending the store is asked once more (`still`).
5. What is told goes to the office's channels before all people, be it urgent to those, and what is urgent before other
   news; what only follows silently goes last (`Rank`).
6. A refused picture makes the letter a text.
7. While the line is down nothing is claimed, and one call after the other finds out whether it is back (`reach`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from weakref import WeakValueDictionary

import structlog
from telegram import Bot

from bots.telegram.aims import TELLS, Task, View, Writer, refusal
from bots.telegram.audit import Audit
from bots.telegram.calls import Manner, buttons_work
from bots.telegram.copies import OWN
from bots.telegram.courier import Courier
from bots.telegram.doubts import Doubts, adrift_with
from bots.telegram.handing import Hand, NoPicture, Photos, Still
from bots.telegram.limits import Pacer, Rank
from bots.telegram.options import ChatOptions, silent, zone_of
from bots.telegram.pace import Pace
from bots.telegram.pauses import Pauses
from bots.telegram.places import chat_id
from bots.telegram.reach import Reach
from bots.telegram.recalling import stand_before, stand_of
from bots.telegram.render import Renderings
from bots.telegram.sizing import LANES, Size
from bots.telegram.twins import Twins
from syndicator.domain.letters import Later, Letter, Outcome, Refused, Sent, Unknown
from syndicator.domain.model import ChannelKind, MessageKind, SubscriberRole, Urgency
from syndicator.domain.places import Place
from syndicator.domain.ports import Clock
from syndicator.domain.site import Site
from syndicator.domain.topics import Taxonomy
from syndicator.i18n import Texts
from syndicator.metrics import Metrics

__all__ = ["TelegramChannel", "chat_id", "facts", "rank_of"]

_FIRST = (MessageKind.CORRECTION, MessageKind.WITHDRAWAL)
_FOLLOWING = (*_FIRST, MessageKind.EDIT)

log = structlog.get_logger()


def rank_of(letter: Letter) -> Rank:
    """Who goes first where several wait."""
    if letter.role is SubscriberRole.CHANNEL and letter.kind is not MessageKind.EDIT:
        return Rank.CHANNEL
    urgent = letter.release is not None and letter.release.urgency is Urgency.URGENT
    if urgent or letter.kind in _FIRST:
        return Rank.URGENT
    if letter.kind is MessageKind.EDIT:
        return Rank.LATER
    return Rank.NORMAL


def facts(letter: Letter, task: Task) -> dict[str, object]:
    """What the ledger keeps of the text that was sent."""
    variant = letter.release.variant(letter.lang) if letter.release is not None else None
    own = [part for aim in task.aims if aim.copy == OWN for part in aim.parts]
    revision = variant.revision.number if variant else 0
    kept: dict[str, object] = {"parts": len(own), "revision": revision, "lang": letter.lang}
    listed = own[0].listed if own and letter.kind is MessageKind.DIGEST else None
    if listed is not None and len(listed.numbers) < len(letter.items):
        kept |= {"shown": listed.numbers, "more": listed.more}
    return kept


def _told(outcome: Outcome | BaseException) -> Outcome:
    """A bug with one letter is no other letter's."""
    if not isinstance(outcome, BaseException):
        return outcome
    if not isinstance(outcome, Exception):
        raise outcome
    log.error("a letter could not be sent over telegram", error=type(outcome).__name__, exc_info=outcome)
    return Unknown(f"{type(outcome).__name__} in channel telegram")


def _warn_of(letter: Letter) -> None:
    """A withdrawn text may stand where thousands read it, and nobody but a person can find out."""
    log.error(
        "a withdrawn release may still stand in a channel: look there, and delete it by hand or settle its delivery",
        chat=letter.written or letter.address,
        deliveries=[one.delivery for one in letter.earlier if not one.is_known],
    )


class TelegramChannel:
    """Sends through the Bot API. `sleep` takes seconds and `monotonic` gives them; tests pass their own.

    With a `clock` it is asked anew at each step, so that one that is set back is noticed in the middle of a letter.
    Without `photos` what would be a photo is a text; without an `audit` what nobody can tell of is unknown; without
    `still` what was read at the claim is sent.
    """

    kind = ChannelKind.TELEGRAM
    tells = TELLS
    lanes = LANES

    def __init__(
        self,
        bot: Bot,
        *,
        site: Site,
        texts: Texts,
        taxonomy: Taxonomy,
        pacer: Pacer,
        pauses: Pauses,
        options: ChatOptions | None = None,
        photos: Photos | None = None,
        audit: Audit | None = None,
        still: Still | None = None,
        pace: Pace | None = None,
        metrics: Metrics | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Clock | None = None,
    ) -> None:
        self._bot = bot
        self._site = site
        self._pacer = pacer
        self._pace = pace or Pace(pacer, pauses, sleep=sleep, metrics=metrics)
        self._options = options or ChatOptions()
        self._photos = photos
        self._audit = audit
        self._still = still
        self._twins = Twins(bot, self._options.written)
        self._reach = Reach()
        self._monotonic = monotonic
        self._clock = clock
        self._writer = Writer(Renderings(site, taxonomy), texts)
        self._buttons = buttons_work(site.base_url)
        self._size = Size(pacer)
        self._locks: WeakValueDictionary[int | str, asyncio.Lock] = WeakValueDictionary()

    @property
    def chunk(self) -> int:
        """How many letters are claimed at a time; see `sizing`."""
        return self._size.now

    def ready_at(self, now: datetime) -> datetime | None:
        """The end of a pause of the whole bot, a refused token or a line that is down; see `domain.ports.Channel`."""
        ends = (self._pacer.held_until(now), self._reach.held_until(now))
        return max((one for one in ends if one is not None), default=None)

    async def begin(self, now: datetime) -> None:
        """This process sends from now on, after another perhaps: what that one kept is taken up."""
        self._reach.begin()
        if self._audit is not None:
            self._audit.begin()
        await self._pace.begin(now)

    async def keep(self) -> None:
        """Another may send from now on: what it has to know is kept."""
        await self._pace.flush()

    async def send(self, letters: Sequence[Letter], now: datetime) -> Sequence[Outcome]:
        """Send each letter; see `domain.ports.Channel`."""
        await self._pace.restore(now)
        self._size.look(now)
        started = self._monotonic()

        def moment() -> datetime:
            return self._clock() if self._clock else now + timedelta(seconds=self._monotonic() - started)

        if len(letters) == 1:
            return [await self._deliver(letters[0], now, moment)]
        outcomes = await asyncio.gather(*(self._deliver(one, now, moment) for one in letters), return_exceptions=True)
        return [_told(one) for one in outcomes]

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        await self._bot.request.shutdown()

    async def _deliver(self, letter: Letter, written_at: datetime, moment: Callable[[], datetime]) -> Outcome:
        place = Place.parse(letter.address)
        lock = self._locks.setdefault(self._pacer.known(place.chat), asyncio.Lock())
        async with lock:
            if (refused := refusal(letter, moment())) is not None:
                return refused
            if twin := await self._twins.first_of(letter):
                return Refused(f"{letter.written or letter.address} is the same place as {twin}", letter.answer)
            return await self._carry(letter, place, written_at, moment)

    async def _carry(
        self, letter: Letter, place: Place, written_at: datetime, moment: Callable[[], datetime]
    ) -> Outcome:
        options, now = self._options.for_letter(letter), moment()
        before, stand = stand_before(letter, place, now), stand_of(letter, place, now)
        view = View(options.style, now, zone_of(letter, self._site), pictures=self._photos is not None)
        doubts = Doubts(letter, self._audit, moment)
        if letter.kind in _FOLLOWING:
            lost = adrift_with(stand, letter, partial(self._writer.own, letter, stand, view))
            stand = await doubts.adrift(lost, place)
            for one in stand.found[len(before.found) :]:
                before = before.adopted(*one)
            if doubts.again is not None and letter.kind is not MessageKind.WITHDRAWAL:
                return doubts.outcome(Sent(stand.answer(place.chat, {})))
        courier = Courier(
            letter,
            place,
            stand,
            Hand(
                self._bot,
                self._pace,
                moment,
                Manner(silent(letter, self._site, now, options.silent), self._buttons),
                rank_of(letter),
                self._photos,
                self._reach,
                self._still,
                written_at,
                letter.changes,
            ),
            doubts,
        )
        for pictures in (view.pictures, False):
            task = self._writer.task(letter, replace(view, pictures=pictures), before, courier.stand)
            try:
                outcome = doubts.outcome(await courier.carry(task, facts(letter, task)))
            except NoPicture:
                continue
            if letter.kind is MessageKind.WITHDRAWAL and courier.stand.adrift and isinstance(outcome, Sent | Unknown):
                _warn_of(letter)
            return outcome
        return Later("its picture is refused, and so is a text without one", answer=courier.answer)
