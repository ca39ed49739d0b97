"""What passes through Wicket is what would have passed without it: frame by frame, and with official SDKs."""
