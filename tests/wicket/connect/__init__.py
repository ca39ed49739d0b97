"""Tests of `wicket connect`, `wicket disconnect` and `wicket import`."""
