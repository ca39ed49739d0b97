"""The same client and the same server, written with every official SDK."""

from pathlib import Path

from tests.conformance.process import ROOT

HOME = ROOT / ".fidelity"
"""Where the TypeScript SDKs are installed."""
HERE = Path(__file__).resolve().parent
