"""The commands `callsheet` and `callsheetctl`; the only place that wires a whole server."""
