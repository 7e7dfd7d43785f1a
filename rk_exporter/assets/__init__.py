"""The dashboards, rules and examples that come with the program, adapted to their users."""
