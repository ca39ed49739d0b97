"""Secrets that Wicket is given at run time and has to keep: sealed before they reach the database."""
