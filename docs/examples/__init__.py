"""The examples of `docs/extending.md`, which shows them word for word. No part of Wicket imports them."""
