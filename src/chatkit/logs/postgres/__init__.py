"""The log in a PostgreSQL database, which any number of machines share."""

from chatkit.logs.postgres.log import PostgresLog
from chatkit.logs.postgres.migrating import migrate, migrate_supabase

__all__ = ["PostgresLog", "migrate", "migrate_supabase"]
