"""The process shell that every service shares: tasks, lifecycle, settings, logs, health, metrics."""
