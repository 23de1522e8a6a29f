"""What the API answers, as frozen pydantic models: one module per resource."""
