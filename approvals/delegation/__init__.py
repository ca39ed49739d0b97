"""One approver lets another decide in their place, for a time."""
