"""The core that both proxies share: what an exchange is, how it is judged, and how it is recorded.

No file in here serves or calls anything over HTTP, and none knows which proxy an exchange came through.
"""
