"""Tests of `approvals`."""
