"""Handlers that write down each run before anything else happens, for the rig to read."""
