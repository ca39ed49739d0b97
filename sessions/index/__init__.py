"""The index over the audit log: what lists of sessions, searches and plots look things up in."""
