"""The networks that look and read: what they are, and what runs them."""
