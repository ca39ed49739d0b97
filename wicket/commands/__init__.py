"""One file for each group of commands. Each says what its commands are in `COMMANDS`, and nothing is hidden."""
