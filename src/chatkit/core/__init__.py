"""Pure rules: tables, folds and clocks that are handed the time. No I/O, no asyncio."""
