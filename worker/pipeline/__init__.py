"""One photo on its way: fetch, decode, details, embed, read, decide."""
