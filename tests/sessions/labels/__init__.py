"""What runs are labelled with, and that it only grows."""
