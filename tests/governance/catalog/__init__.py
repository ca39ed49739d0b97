"""Tests of `governance.catalog`."""
