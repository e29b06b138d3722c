"""Answers that people look at: what is worth a look, what they say of it, and what that comes to."""
