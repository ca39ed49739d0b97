"""Asking a person: tickets, the desk where they wait, and telling the world about them."""
