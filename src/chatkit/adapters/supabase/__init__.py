"""Supabase: messages in the project's own PostgreSQL, announced by Realtime."""
