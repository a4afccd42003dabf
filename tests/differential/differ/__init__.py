"""The same calls on Docker's own daemon and on Seaway, and what of the answers is different."""
