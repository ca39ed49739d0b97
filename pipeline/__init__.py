"""The one path that every exchange takes, whichever proxy it came through."""
