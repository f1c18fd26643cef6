"""``python -m cli`` is ``truto-worker``."""

from cli.main import main

main()
