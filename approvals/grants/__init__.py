"""What people allow beyond one call: grants, with a tool, patterns of arguments, an end and a number of uses."""
