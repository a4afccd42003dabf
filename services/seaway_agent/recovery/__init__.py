"""Recovers the containers of a former agent."""
