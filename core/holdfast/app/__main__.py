"""`python -m holdfast.app`: the command `holdfast`."""

from .cli import main

main()
