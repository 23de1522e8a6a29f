"""Agent pipelines: what is to be done, how steps are wired, and the agents that work on this machine or remotely."""
