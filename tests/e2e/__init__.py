"""The product through its front door: `wicket up` as a process, clients that nobody here wrote, and what they saw."""
