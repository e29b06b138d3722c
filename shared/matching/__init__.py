"""Which product is it? A pure function of a photo's features and a catalog snapshot."""
