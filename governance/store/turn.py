"""How the processes that share an SQLite file take turns to write: two lock files beside it, and a limit to the wait.

It knows nothing of databases. A process that hangs in its turn stops the writing of the others: they say so and refuse,
rather than wait with it.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread

from governance.store.work import StoreError

PATIENCE_SECONDS = 30.0
"""Longest wait for the turn: as long as a statement on Postgres may take."""


class Turns:
    """The turns of one process. To be used by one thread at a time.

    SQLite's own busy handler sleeps and tries again, which starves a writer; a blocking lock does not. One lock alone
    would let the process that gives it up take it again before the one it woke: whoever wants it must first pass the
    turnstile, in which the next process is standing already.

    Args:
        path: the database.
        patience: most seconds that a turn is waited for.
    """

    def __init__(self, path: Path, patience: float = PATIENCE_SECONDS) -> None:
        self._turnstile = _open(path.with_name(f"{path.name}-turn"))
        self._lock = _open(path.with_name(f"{path.name}-lock"))
        self.patience = patience
        self._waiter: _Waiter | None = None

    @contextmanager
    def turn(self) -> Generator[None]:
        """One turn.

        Raises:
            StoreError: it did not come in time; nothing may be written.
        """
        if self._waiter is not None or not self._comes_at_once():
            self._wait()
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the lock files back."""
        os.close(self._turnstile)
        os.close(self._lock)

    def _comes_at_once(self) -> bool:
        """Take the turn if nobody has it; the place in the turnstile is kept if somebody has."""
        try:
            fcntl.flock(self._turnstile, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._turnstile, fcntl.LOCK_UN)
        return True

    def _wait(self) -> None:
        waiter = self._waiter
        if waiter is None or not waiter.goes_on():
            waiter = self._waiter = _Waiter(os.dup(self._turnstile), os.dup(self._lock))
            waiter.start()
        if not waiter.came(self.patience):
            raise StoreError(
                f"another process did not end its turn to write within {self.patience:g} seconds: "
                f"look for one that hangs, and end it"
            )
        self._waiter = None
        if waiter.error is not None:
            raise waiter.error


class _Waiter(Thread):
    """Waits in the queue, because a lock on a file cannot be waited for with a limit. It outlives an impatient caller.

    Its descriptors are its own: they stay what they are when the others are closed.
    """

    def __init__(self, turnstile: int, lock: int) -> None:
        super().__init__(name="wicket-turn", daemon=True)
        self.error: OSError | None = None
        self._turnstile = turnstile
        self._lock = lock
        self._mutex = Lock()
        self._over = Event()
        self._wanted = True

    def run(self) -> None:
        """Stand in the queue; a turn that nobody wants any more is given back at once."""
        try:
            fcntl.flock(self._turnstile, fcntl.LOCK_EX)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            fcntl.flock(self._turnstile, fcntl.LOCK_UN)
        except OSError as error:
            self.error = error
        with self._mutex:
            if not self._wanted:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._over.set()
        os.close(self._turnstile)
        os.close(self._lock)

    def goes_on(self) -> bool:
        """Want the turn again; false if it came meanwhile and was given back."""
        with self._mutex:
            self._wanted = not self._over.is_set()
            return self._wanted

    def came(self, patience: float) -> bool:
        """Whether the turn came in time; if not, it is not wanted any more."""
        self._over.wait(patience)
        with self._mutex:
            self._wanted = self._over.is_set()
            return self._wanted


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
