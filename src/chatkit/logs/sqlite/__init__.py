"""The shared log in one SQLite file: any number of processes of one machine read and write it at once."""
