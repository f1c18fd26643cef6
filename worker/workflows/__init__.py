"""Workflows on our own queue: the same files as Truto's, with more triggers and actions."""

# Imported so that their actions are registered.
from worker.workflows import builtin, http, waiting
from worker.workflows.actions import Action, Actions, StepContext, action, actions

__all__ = ["Action", "Actions", "StepContext", "action", "actions", "builtin", "http", "waiting"]
