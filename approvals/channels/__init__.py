"""Telling people of calls that wait, in chats and mailboxes: a file for each kind, and the list is `kinds.py`."""
