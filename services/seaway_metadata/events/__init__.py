"""The stream of events: what may go into it, how fast, and how much of it each node has."""
