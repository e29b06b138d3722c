"""What a built version is looked at for before anyone is served it, and what is said of it."""
