"""Fixtures of the agent's own tests."""

from tests.unit.seaway_agent.runner_bench import bench

__all__ = ["bench"]
