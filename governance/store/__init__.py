"""The database: one engine, one writer, migrations."""
