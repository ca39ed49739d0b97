"""Tasks of the extension `io.modelcontextprotocol/tasks` (SEP-2663) that Wicket makes for held calls."""
