"""Finding personal data, secrets, injection and dangerous arguments in text."""
