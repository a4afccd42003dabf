"""The cluster's records: containers, names and nodes, projected from events and served from memory."""
