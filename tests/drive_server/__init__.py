"""A server on the loopback that speaks the parts of Google Drive's API v3 that read: stateful, strict, failing as told."""
