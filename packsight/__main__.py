"""`python -m packsight` is the command line."""

from packsight.cli import main

main()
