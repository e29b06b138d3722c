"""Which words stand on which product, and which of them a reading may mean."""
