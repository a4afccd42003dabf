"""The kinds of records: each declares its bucket, key, model and index, and how events and inventories change it."""
