"""callsheet: a job scheduler for teams that replaces cron and its kin."""

__version__ = "0.1.0"
