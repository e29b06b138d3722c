"""What the indexer sees of the whole: queues, workers, catalogs, syncs. It alone tells it, so that a sum counts nothing twice."""
