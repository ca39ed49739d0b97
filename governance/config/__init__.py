"""The configuration file: its shape, how it is read, and how its mistakes are explained."""
