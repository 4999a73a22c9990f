"""Tornado: REST API, event stream and the console."""
