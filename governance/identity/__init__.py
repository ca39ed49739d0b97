"""Who is asking: keys, and what each may do."""
