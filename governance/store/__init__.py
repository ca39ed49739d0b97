"""The database: one engine, one writer, migrations."""

from governance.store.database import Store, open_store
from governance.store.work import ConflictError, Pen, Sink, StoreError, Work, together

__all__ = ["ConflictError", "Pen", "Sink", "Store", "StoreError", "Work", "open_store", "together"]
