"""The agent's database."""
