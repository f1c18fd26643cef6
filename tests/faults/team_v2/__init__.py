"""What the next version of the team's code adds."""
