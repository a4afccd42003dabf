"""The process that answers DNS questions in sandboxes and outlives the agent."""
