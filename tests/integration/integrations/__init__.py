"""Integrations run against local servers."""
