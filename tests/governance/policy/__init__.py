"""Tests of `governance.policy`."""
