"""What docs/reliability.md is made of: what must hold, which test shows it, and what long runs measured."""
