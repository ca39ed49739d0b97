"""What rooms hand to the store, and how the store fails.

A work is a plain synchronous function of a session. It is run by a thread of the store (`database.py`); it never
commits, never waits for anything but the database, and is short, because others of the same batch wait for it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from sqlmodel import Session

T = TypeVar("T")
Item_contra = TypeVar("Item_contra", contravariant=True)
Proof_co = TypeVar("Proof_co", covariant=True)

Work: TypeAlias = Callable[[Session], T]
"""Something to do inside a transaction. Whatever it returns or raises reaches the one who awaits it."""


@dataclass(frozen=True, slots=True)
class Pen:
    """What a sink writes with: the driver's own cursor, in a transaction that somebody else began and will end."""

    dialect: str
    """`sqlite` or `postgresql`: they mark parameters differently."""
    cursor: Any
    """A DB-API 2.0 cursor (PEP 249)."""


class Sink(Protocol[Item_contra, Proof_co]):
    """Takes all the items of a batch at once, where SQLAlchemy, or one statement a row, would cost too much."""

    def flush(self, pen: Pen, items: Sequence[Item_contra]) -> Sequence[Proof_co]:
        """Write the items, in this order, inside the batch's transaction; one proof for each.

        Called once a batch, after its works. What it raises fails the whole batch.
        """
        ...


def together(*works: Work[None] | None) -> Work[None]:
    """One work that does several, one after another; those that are `None` are left out."""
    due = [one for one in works if one is not None]

    def work(session: Session) -> None:
        for one in due:
            one(session)

    return work


class StoreError(Exception):
    """The database did not do what was asked, and nothing of it is to be believed. The message is ours and safe."""


class ConflictError(StoreError):
    """The work broke a rule of the tables (a unique value, a check). The rest of its batch is not touched."""
