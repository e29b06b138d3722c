"""A job while everything around it is killed, frozen, filled and cut: `python -m tests.chaos --seed N`."""
