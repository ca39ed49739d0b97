"""Tests of what is shown to upstream servers."""
