"""The agent daemon, its keepers and the spool; installs alone."""
