"""Tests mirror the files they test and speak in sentences."""
