"""Tests of `approvals.webhook`."""
