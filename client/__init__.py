"""Python client for the REST API."""
