"""A small BIDS dataset of made-up heads, and what the app changed in it."""
