"""The numbered migrations, run by `governance/store/schema.py` with Alembic."""
