"""The databases: what each must do, which one an address means, and the one that is a file.

The other one is `postgres.py`; everything else in this room is the same for both. On either, the batches of all
processes stand one after another: a work sees whatever an earlier batch committed, and two works never run at the same
time.
"""

import importlib
import os
import sqlite3
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from governance.store.turn import PATIENCE_SECONDS, Turns
from governance.store.work import StoreError


class Backend(Protocol):
    """One database."""

    name: str
    """Where it is, without a password: safe to show."""
    migrates_itself: bool
    """Whether any process may bring its tables up to date: nobody else uses them."""

    def writer(self) -> Connection:
        """A new connection that may write."""
        ...

    def reader(self) -> Connection:
        """A new connection that the database keeps from writing; a transaction on it sees one moment."""
        ...

    def looker(self) -> Connection:
        """A new connection that cannot write and begins no transactions: each query sees the newest state."""
        ...

    def batch(self, connection: Connection) -> AbstractContextManager[None]:
        """A transaction in this process's turn: committed durably at the end, rolled back when something raises."""
        ...

    def plain_batch(self, connection: Connection) -> AbstractContextManager[None]:
        """The same for what speaks to the driver's own cursor only: SQLAlchemy would cost as much as the statements."""
        ...

    def intact(self, connection: Connection) -> bool:
        """Whether the batch's transaction still stands, with all that was done in it."""
        ...

    def alone(self) -> AbstractContextManager[Connection]:
        """A connection for changing the tables, while no other process does. Blocks until it is so."""
        ...

    def close(self) -> None:
        """Give back what is held besides connections."""
        ...


def backend(url: str) -> Backend:
    """The database of an address.

    Raises:
        StoreError: the address is not one of `sqlite:///PATH` and `postgresql://...`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError("`database` is not an address: write `sqlite:///PATH` or `postgresql://HOST/NAME`") from None
    kind = parsed.drivername
    if kind == "sqlite" and parsed.database and parsed.database != ":memory:" and not parsed.query:
        return Sqlite(Path(parsed.database))
    if kind in ("postgres", "postgresql", "postgresql+psycopg"):
        # Not at the top of the file: who has a file needs no driver for a server.
        there: Backend = importlib.import_module("governance.store.postgres").Postgres(
            parsed.set(drivername="postgresql+psycopg")
        )
        return there
    raise StoreError(f"`database` begins with `{kind}`: write `sqlite:///PATH` or `postgresql://HOST/NAME`")


class Sqlite:
    """A file. WAL, and every commit is synced (`synchronous=FULL`).

    The writers of several processes take turns by locks on files beside it (`turn.py`).
    """

    migrates_itself = True

    def __init__(self, path: Path, patience: float = PATIENCE_SECONDS) -> None:
        self.path = path.absolute()
        self._patience = patience
        self.name = f"sqlite:///{path}"
        self._write_engine = self._engine(read_only=False)
        self._read_engine = self._engine(read_only=True)
        self._inode = 0
        self._turns: Turns | None = None

    def writer(self) -> Connection:
        """A new connection that may write."""
        self._check_same()
        if self._turns is None:
            self._turns = Turns(self.path, self._patience)
        return self._write_engine.connect()

    def reader(self) -> Connection:
        """A new connection on which SQLite refuses to write."""
        return self._read_engine.connect()

    def looker(self) -> Connection:
        """A reader: a query alone is a transaction of its own."""
        return self.reader()

    def raw_reader(self) -> sqlite3.Connection:
        """A reader without SQLAlchemy, for the cheapest look there is."""
        connection = self._connect(busy_seconds=0.2)
        connection.execute("PRAGMA query_only = ON")
        return connection

    @contextmanager
    def batch(self, connection: Connection) -> Generator[None]:
        """A transaction in this process's turn."""
        with self._turn(), connection.begin():
            yield

    @contextmanager
    def plain_batch(self, connection: Connection) -> Generator[None]:
        """The same on the driver's own connection."""
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        with self._turn(), driver:  # its block ends with a commit, or with a rollback where something was raised
            driver.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def _turn(self) -> Generator[None]:
        """This process's turn to write."""
        if self._turns is None:
            raise StoreError(f"`{self.name}` is closed")
        with self._turns.turn():
            self._check_same()
            yield

    def intact(self, connection: Connection) -> bool:
        """Whether SQLite still has the transaction open."""
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        return driver.in_transaction

    @contextmanager
    def alone(self) -> Generator[Connection]:
        """A connection for changing the tables. Makes the file where there is none; nothing else does."""
        self._create()
        with self.writer() as connection, self.batch(connection):
            yield connection

    def close(self) -> None:
        """Give the lock files back."""
        if self._turns is not None:
            self._turns.close()
        self._turns = None

    def _check_same(self) -> None:
        """Refuse from the moment on that another file, or none, stands at the path.

        SQLite would go on writing into a file that has no name any more. And it finds its log of changes by the path:
        not even the old file put back may be used again before all its connections are closed.
        """
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            inode = -1
        if self._inode == 0:
            self._inode = inode
        if inode != self._inode or inode < 0:
            self._inode = -1
            raise StoreError(f"`{self.name}` was replaced or removed while in use: start again")

    def _create(self) -> None:
        """Make the file, for its owner's eyes only; SQLite gives the files beside it the same mode.

        Never opens a file that is there: closing it again would drop the locks SQLite holds on it in this process.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            self.path.chmod(0o600)

    def _connect(self, busy_seconds: float = 10) -> sqlite3.Connection:
        address = f"{self.path.as_uri()}?mode=rw"
        return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=busy_seconds)

    def _engine(self, *, read_only: bool) -> Engine:
        engine = create_engine("sqlite://", creator=self._connect, poolclass=NullPool)
        pragmas = ["journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"]
        if read_only:
            pragmas = ["query_only = ON"]

        def prepare(connection: sqlite3.Connection, _record: Any) -> None:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").fetchall()

        def begin(connection: Connection) -> None:
            # A transaction that begins by reading could not be promoted to writing after another one wrote.
            connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

        event.listen(engine, "connect", prepare)
        event.listen(engine, "begin", begin)
        return engine
