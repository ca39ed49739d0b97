"""Tests of `governance.budget`."""
