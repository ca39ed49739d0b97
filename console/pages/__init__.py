"""The pages: each file one place of the console."""
