"""The search in the audit log: by what events carry, page by page."""
