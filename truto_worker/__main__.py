"""``python -m truto_worker``."""

from truto_worker import main

main()
