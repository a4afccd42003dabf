"""A container's streams: its live console, its log."""
