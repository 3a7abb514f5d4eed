"""`chatkit demo`: a replay of real conversations that checks its own promise."""
