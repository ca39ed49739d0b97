"""Labels of runs: what sets them, and where they are kept."""
