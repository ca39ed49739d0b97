"""Real agents from npm, run on loopback: `make live-agents`. Nearly a gigabyte, so `make test` leaves it out."""
