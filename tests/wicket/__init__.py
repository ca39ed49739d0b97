"""Tests of `wicket`."""
