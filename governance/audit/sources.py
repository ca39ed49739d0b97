"""Where `verify.py` gets a log from: the database itself, or a file exported from it. Nothing here judges."""

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from sqlalchemy import Connection

from governance import jsontree
from governance.audit.chain import encode
from governance.audit.columns import FIELDS
from governance.audit.event import Receipt, Value
from governance.audit.verify import BrokenError, Entry, Fault, Report, verify
from governance.store.backends import backend
from governance.store.failure import DATABASE_ERRORS, reason
from governance.store.work import StoreError

_PAGE = 2_000
_PART = 250
_EVENTS = f"""
    SELECT seq, body, hash, mac, {", ".join(FIELDS)} FROM audit_events
    WHERE seq > {{after}} ORDER BY seq LIMIT {_PAGE}
"""  # noqa: S608 - our own names, and a number that came from the table


def verify_database(url: str, *, key: bytes | None = None, known: Receipt | None = None) -> Report:
    """Verify the log in a database, as it is at this moment. Others may go on writing. Blocks.

    Raises:
        StoreError: the database cannot be read.
    """
    place = backend(url)
    try:
        with place.reader() as connection, connection.begin():
            head = connection.exec_driver_sql("SELECT seq, hash FROM audit_head WHERE id = 1").first()
            if head is None:
                return Report(0, fault=Fault.UNREADABLE, seq=0, why="the table `audit_head` is empty")
            return verify(stored(connection), key=key, head=Receipt(int(head[0]), str(head[1])), known=known)
    except DATABASE_ERRORS as error:
        raise StoreError(f"`{place.name}` cannot be read: {reason(error)}") from error
    finally:
        place.close()


def verify_slowly(url: str, *, key: bytes, rest: Callable[[int, int], None]) -> Report:
    """The same for a process that has better things to do: up to where the log ends now, page by page. Blocks.

    Args:
        url: address of the database.
        key: the key of the seals.
        rest: called after every few hundred events, with how many were checked of how many; it may wait, or raise to
            break off.

    Raises:
        StoreError: the database cannot be read.
    """
    place = backend(url)
    try:
        with place.looker() as connection:
            head = connection.exec_driver_sql("SELECT seq, hash FROM audit_head WHERE id = 1").first()
            if head is None:
                return Report(0, fault=Fault.UNREADABLE, seq=0, why="the table `audit_head` is empty")
            end = Receipt(int(head[0]), str(head[1]))
            return verify(_up_to(end, stored(connection), rest), key=key, head=end)
    except DATABASE_ERRORS as error:
        raise StoreError(f"`{place.name}` cannot be read: {reason(error)}") from error
    finally:
        place.close()


def _up_to(end: Receipt, entries: Iterator[Entry], rest: Callable[[int, int], None]) -> Iterator[Entry]:
    for count, entry in enumerate(entries, 1):
        if entry.seq > end.seq:
            return
        yield entry
        if count % _PART == 0:
            rest(count, end.seq + 1)


def stored(connection: Connection) -> Iterator[Entry]:
    """The events of a database in order, read in pages."""
    # The driver's own cursor: there may be millions of rows, and SQLAlchemy's row objects would cost a third.
    cursor = connection.connection.cursor()
    after = -1
    while True:
        cursor.execute(_EVENTS.format(after=after))
        rows = cursor.fetchall()
        for row in rows:
            yield Entry(row[0], row[1].encode(), row[2], row[3], row[4:])
        if len(rows) < _PAGE:
            return
        after = int(rows[-1][0])


def exported(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The events of an exported file, one JSON object a line: `seq`, `hash`, `mac`, `body`."""
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            match jsontree.parse(line):
                case {"seq": int(seq), "hash": str(linked), "mac": str(mac), "body": dict(body)}:
                    yield Entry(seq, encode(cast("dict[str, Value]", body)), linked, mac)
                case _:
                    raise BrokenError(Fault.UNREADABLE, number, f"line {number + 1} is not an exported event")
        except ValueError as error:
            raise BrokenError(Fault.UNREADABLE, number, f"line {number + 1} cannot be read: {error}") from None
