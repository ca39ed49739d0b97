"""Where `verify.py` gets a log from: the database itself, or a file exported from it. Nothing here judges."""

from collections.abc import Iterable, Iterator
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
