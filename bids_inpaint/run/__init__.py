"""Execution of a run: plan, processes, failures, progress and pages."""
