"""The phases of a sync, each of which returns a value: what is wanted, resolved, built and published."""
