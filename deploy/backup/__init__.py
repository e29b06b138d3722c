"""A copy of what packsight keeps in object storage, in a folder: taken bit by bit, checked, and brought back."""
