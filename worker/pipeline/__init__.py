"""One photo on its way: fetch, decode, embed, read, search, decide."""
