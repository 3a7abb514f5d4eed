"""The one door to SQLite, for the local store and the shared log: connections, and who waits for them."""
