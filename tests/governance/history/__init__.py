"""Policies that were in force, and what they were asked."""
