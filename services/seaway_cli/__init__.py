"""The `seaway` command: a whole suite on one machine, started, watched and stopped."""
