"""Tests of `governance.audit`."""
