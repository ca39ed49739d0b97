"""What Alembic runs to migrate. It is handed a connection; it opens none and knows no address."""

from alembic import context
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection)
context.run_migrations()
