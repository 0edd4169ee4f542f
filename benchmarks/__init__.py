"""Ratios of this server against a bare one, and of its parts against the least that would do their work."""
