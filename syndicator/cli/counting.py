"""A source that counts what is read from it, for the bar that a person sees."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from syndicator.domain.ports import Source, SourceItem

__all__ = ["Counting"]


class Counting:
    """The same source; `advance` is called for each change or problem it yields."""

    def __init__(self, source: Source, advance: Callable[[float], None]) -> None:
        self.name = source.name
        self._source = source
        self._advance = advance

    async def changes(self, cursor: str, known: Mapping[str, str]) -> AsyncIterator[SourceItem]:
        """As the source; raises as it does."""
        async for item in self._source.changes(cursor, known):
            self._advance(1)
            yield item

    def watch(self) -> AsyncIterator[None]:
        """As the source."""
        return self._source.watch()
