"""What this process knows and its requests share: the event feed, records, nodes' replies, execs, samples."""
