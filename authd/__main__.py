"""`python -m authd` is the `authd` command."""

from authd.cli import main

main()
