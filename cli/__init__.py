"""The ``truto-worker`` command: the only part that may import everything."""
