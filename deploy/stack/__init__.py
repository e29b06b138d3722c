"""The local stack: everything on loopback, everything in one folder."""
