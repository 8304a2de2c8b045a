"""Offer nothing."""
