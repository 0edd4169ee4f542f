"""Panels and pictures. Empty until the first panel arrives."""
