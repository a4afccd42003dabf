"""The process that runs execs and outlives the agent."""
