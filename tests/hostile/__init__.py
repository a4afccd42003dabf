"""Makers of inputs that mean harm."""
