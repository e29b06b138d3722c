"""What the rooms agree on: settings, wire messages, error codes, storage formats and matching."""
