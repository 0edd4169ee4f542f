"""The protocol's conformance suite and its Inspector, run against our server by `python -m tests.conformance`."""
