"""What servers say of themselves, held to what was trusted: pins, and the reviews that changes wait for."""
