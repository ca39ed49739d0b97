"""The list of sessions: filtered, searched, page by page."""
