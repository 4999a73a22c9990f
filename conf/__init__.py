"""Settings, and the job folder read and checked."""
