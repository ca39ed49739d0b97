"""An audit log that a test can read: durable with the store, kept in memory."""

from collections.abc import Callable
from typing import Any

from sqlmodel import Session

from governance.audit.event import Draft, Receipt, Tag, Value
from governance.store import Store


class Ledger:
    """Does the work and keeps the event, both or neither, as the log does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.drafts: list[Draft] = []

    async def append(self, draft: Draft, within: Callable[[Session], Any] | None = None) -> Receipt:
        await self._store.write(within or (lambda _: None))
        self.drafts.append(draft)
        return Receipt(len(self.drafts) - 1, "")

    def tags(self) -> list[Tag]:
        return [draft.tag for draft in self.drafts]

    def of(self, tag: Tag) -> list[dict[str, Value]]:
        return [dict(draft.fields) for draft in self.drafts if draft.tag is tag]
