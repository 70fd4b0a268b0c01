"""Training examples: healthy brains, real and synthetic, with simulated lesions; and patients."""
