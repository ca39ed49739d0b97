"""Telling other systems that a ticket waits or was decided, by the Standard Webhooks scheme."""
