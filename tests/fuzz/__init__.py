"""Damaged and odd input of every kind that comes from outside: `python -m tests.fuzz --seed N`."""
