"""The hooks of a run, one concern a file."""
