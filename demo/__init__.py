"""A small BIDS dataset of two people and a synthetic head, and what the app changed in it."""
