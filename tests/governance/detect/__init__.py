"""Tests of `governance.detect`."""
