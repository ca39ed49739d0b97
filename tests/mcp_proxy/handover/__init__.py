"""Tests of the bridge between the eras."""
