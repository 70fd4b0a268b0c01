"""BIDS in and out: finding T1w images, naming derivatives, and the files that describe them.

Only `discovery` imports pybids; the other modules are cheap to import.
"""
