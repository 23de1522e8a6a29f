"""A server on the loopback that speaks the Aionvision API: stateful, strict, counting, and failing as told."""
