"""Tests of `governance.config`."""
