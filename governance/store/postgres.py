"""A server that several machines may share: how it is reached, and how their writers take turns.

What a database must do is `Backend` in `backends.py`, which loads this only where an address asks for it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.pool import NullPool

from governance.store.failure import failed
from governance.store.work import StoreError

_TURN = 0x7769636B6574
"""Number of the advisory lock that a writer holds for one batch (the letters of `wicket`)."""


class Postgres:
    """A server, reached with psycopg 3."""

    migrates_itself = False

    def __init__(self, url: URL) -> None:
        self.name = url.set(drivername="postgresql").render_as_string(hide_password=True)
        arguments = {
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "tcp_user_timeout": 10_000,
            "application_name": "wicket",
        }
        write = "-c statement_timeout=30s -c idle_in_transaction_session_timeout=60s "
        # Whatever the server prefers: a batch must see what was committed while it waited for its turn.
        write += "-c default_transaction_isolation=read\\ committed"
        read = "-c statement_timeout=10s -c default_transaction_read_only=on "
        read += "-c default_transaction_isolation=repeatable\\ read"
        self._write_engine = create_engine(url, poolclass=NullPool, connect_args={**arguments, "options": write})
        self._read_engine = create_engine(url, poolclass=NullPool, connect_args={**arguments, "options": read})

    def writer(self) -> Connection:
        """A new connection whose commits are durable, whatever the server's default."""
        connection = self._write_engine.connect()
        connection.exec_driver_sql(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()
        return connection

    def reader(self) -> Connection:
        """A new connection on which the server refuses to write."""
        return self._read_engine.connect()

    def looker(self) -> Connection:
        """A reader without transactions: one round trip a query."""
        return self.reader().execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def batch(self, connection: Connection) -> Generator[None]:
        """A transaction in this process's turn.

        The lock is taken before anything else, so that the works of two batches cannot lock each other out whatever
        rows they touch, and the server hands it on in the order of asking.
        """
        with _in_our_words(), connection.begin():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")
            yield

    @contextmanager
    def plain_batch(self, connection: Connection) -> Generator[None]:
        """The same on the driver's own connection."""
        driver = cast("psycopg.Connection", connection.connection.driver_connection)
        if driver.info.transaction_status is not TransactionStatus.IDLE:
            # Inside another transaction this would be a savepoint: done, told as durable, and never committed.
            raise StoreError("a transaction was left open: nothing is written into it")
        with _in_our_words(), driver.transaction():
            driver.execute("SELECT pg_advisory_xact_lock(%s)", (_TURN,))
            yield

    def intact(self, connection: Connection) -> bool:
        """Whether the server would commit: it answers the commit of a failed transaction by rolling back, silently."""
        driver = cast("psycopg.Connection", connection.connection.driver_connection)
        return driver.info.transaction_status is TransactionStatus.INTRANS

    @contextmanager
    def alone(self) -> Generator[Connection]:
        """A connection for changing the tables."""
        with self.writer() as connection, self.batch(connection):
            yield connection

    def close(self) -> None:
        """Nothing is held besides connections."""


@contextmanager
def _in_our_words() -> Generator[None]:
    """What the driver raises by itself, where SQLAlchemy is passed by, as an error of the store."""
    try:
        yield
    except psycopg.Error as error:
        raise failed(error) from error
