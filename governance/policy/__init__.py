"""What may be done: rules that people write, checked when they are loaded, and the strongest verdict wins."""
