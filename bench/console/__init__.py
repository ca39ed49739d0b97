"""`make bench-console`: how long the pages of the console take over 100,000 sessions and two million events."""
