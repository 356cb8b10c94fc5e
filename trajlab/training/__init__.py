"""What a study trains: settings, methods, the loop."""
