"""Tests of `governance.pins`."""
