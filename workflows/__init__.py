"""Workflows on our own queue: the same files as Truto's, with more triggers and actions.

A team's own actions need :func:`action` and :class:`StepContext` from here, nothing else.
"""

# Imported so that their actions are registered.
from workflows import builtin, waiting
from workflows.actions import Action, Actions, StepContext, action, actions

__all__ = ["Action", "Actions", "StepContext", "action", "actions", "builtin", "waiting"]
