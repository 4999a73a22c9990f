"""The domain, pure: jobs, runs, states, schedules, binding. No clock, random, log, thread, I/O."""
