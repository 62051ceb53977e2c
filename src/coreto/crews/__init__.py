"""Teams of agents for one kind of job each: `commander` plans with one model and executes with another."""
