"""The tamper-evident log: what is written, how it is chained, and how it is verified."""
