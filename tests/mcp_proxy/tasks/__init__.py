"""Tasks of the extension, as clients meet them."""
