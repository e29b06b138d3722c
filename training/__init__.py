"""What the project trains itself; not part of the distribution."""
