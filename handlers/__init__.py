"""What happens on an event: one module per entity. Add your own beside them; importing a module registers it."""
