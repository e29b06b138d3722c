"""The copy of each catalog on this host, and the snapshots that a child answers from."""
