"""Images on disk: blobs, the table of names, what changes in it and its events."""
