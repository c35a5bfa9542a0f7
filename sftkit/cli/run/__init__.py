"""How a command is done: requests, jobs, signals, and where results go."""
