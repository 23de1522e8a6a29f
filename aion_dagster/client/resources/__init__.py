"""What the API offers: one module per resource, written once for both clients."""
