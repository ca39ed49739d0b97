"""A wrapper hands its pipes to the MCP proxy that runs beside it, instead of loading all of it once more.

`wire.py` is what the two say to each other, `sender.py` the wrapper's side, `listener.py` and `lent.py` the proxy's.
Why: `docs/decisions/handover.md`.
"""
