"""Tests of `governance.identity`."""
