"""Outside services: the only place that speaks HTTP as a client. Empty until the first service arrives."""
