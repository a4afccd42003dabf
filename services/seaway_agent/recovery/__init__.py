"""Takes up what an agent before this one left."""
