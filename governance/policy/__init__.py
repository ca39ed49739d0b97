"""Rules that people write, compiled and judged."""
