"""Fixtures of the agent's own tests."""

from tests.unit.seaway_agent.cell_bench import bench

__all__ = ["bench"]
