"""Models that look at pictures, by transformers and torch: captions, text, objects, joint vectors."""
