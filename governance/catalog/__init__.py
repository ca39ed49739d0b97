"""What is known of the tools that servers offer."""
