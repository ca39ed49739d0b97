"""Tests of `governance.store`."""
