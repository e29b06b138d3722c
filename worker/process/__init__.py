"""The process that works: its share of the machine, what it holds, its place among the others."""
