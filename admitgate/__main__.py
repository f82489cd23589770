"""``python -m admitgate``."""

from .cli import main

main(prog_name="admitgate")
