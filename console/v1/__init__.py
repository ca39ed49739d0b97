"""The API for programs, version 1: JSON under `/api/v1`, described by `/api/v1/openapi.json`."""
