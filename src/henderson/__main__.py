"""`python -m henderson`."""

from .cli import main

main()
