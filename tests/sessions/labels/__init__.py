"""Labels of runs."""
