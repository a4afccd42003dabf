"""The lab: many hosts on one machine, for trying things out and for tests. docs/lab.md describes it."""

from deploy.lab.errors import LabError
from deploy.lab.lab import Lab
from deploy.lab.links import Link

__all__ = ["Lab", "LabError", "Link"]
