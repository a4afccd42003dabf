"""What the scheduler is told."""

from seaway_kit.settings import ServiceSettings


class SchedulerSettings(ServiceSettings):
    """Chooses the node of each new container."""
