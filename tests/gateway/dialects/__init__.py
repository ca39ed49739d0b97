"""Tests of the lenses."""
