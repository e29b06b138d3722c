"""A drawn shop: products, packs, photos of them, with the truth about each."""
