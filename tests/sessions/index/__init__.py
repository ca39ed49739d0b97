"""Tests of the index over the audit log."""
