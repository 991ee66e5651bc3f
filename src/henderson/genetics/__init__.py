"""Pedigrees and relationship matrices."""
