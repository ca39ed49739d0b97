"""Approvals under 100,000 random steps of two processes that race each other."""
