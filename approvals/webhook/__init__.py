"""Telling other systems that a ticket waits or was decided: the outbox, its courier, and Standard Webhooks."""
