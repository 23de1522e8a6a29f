"""Asset factories, one module per kind of asset."""
