"""Timing, and comparison with other libraries."""
