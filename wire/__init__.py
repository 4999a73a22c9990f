"""ZeroMQ: routers, dealers, the feed, heartbeats."""
