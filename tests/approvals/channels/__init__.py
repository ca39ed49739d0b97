"""Tests of `approvals.channels`."""
