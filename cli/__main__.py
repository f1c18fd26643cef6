"""``python -m cli``, in a checkout."""

from cli.main import main

main()
