"""The LLM proxy: agents use it as their model endpoint."""
