"""A lens over each LLM wire format."""
