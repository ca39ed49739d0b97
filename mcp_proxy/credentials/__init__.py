"""What Wicket itself presents to upstream servers, so that nobody else's credentials ever go there."""
