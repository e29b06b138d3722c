"""What an indexer remembers of one catalog between syncs: a file of SQLite, from which only what changed is worked out anew."""
