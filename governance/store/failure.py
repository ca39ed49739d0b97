"""What a database's error becomes before anyone else sees it: our words, and never a statement or its values."""

import sqlite3

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from governance.store.work import ConflictError, StoreError

DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)
"""What a database or its driver raises. Of a driver that is not always loaded its backend makes a `StoreError`."""


def failure(error: BaseException) -> StoreError:
    """The error for one who waits: one of its own, because the traces of one that several raise would mix."""
    if isinstance(error, IntegrityError):
        told: StoreError = ConflictError(f"the database refused: {reason(error)}")
    elif isinstance(error, (*DATABASE_ERRORS, OSError)):
        told = failed(error)
    elif isinstance(error, StoreError):
        told = StoreError(str(error))
    else:
        told = StoreError("the database failed for an unknown reason")
    told.__cause__ = error
    return told


def failed(error: BaseException) -> StoreError:
    """The error for what the database said of itself."""
    return StoreError(f"the database failed: {reason(error)}")


def reason(error: BaseException) -> str:
    """What the database itself said, in one line."""
    if isinstance(error, OSError):
        return error.strerror or "the system refused"
    said = getattr(error, "orig", None) if isinstance(error, SQLAlchemyError) else error
    lines = str(said or "").strip().splitlines()
    return lines[0] if lines else "it does not answer as expected"
