"""New files become batches, batches become runs."""
