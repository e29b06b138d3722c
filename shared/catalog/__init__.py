"""A catalog version: its files, its tables, and its snapshot as a child opens it."""
