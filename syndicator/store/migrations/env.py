"""How Alembic reaches the database: over the connection that `store.migrate` hands it, in that transaction."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from syndicator.store import tables

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    transactional_ddl=True,  # on SQLite too: `store.database` begins every transaction in full
    user_module_prefix=tables.__name__ + ".",
)
context.run_migrations()
