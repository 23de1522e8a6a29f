"""YAML front-ends on the same factories."""
