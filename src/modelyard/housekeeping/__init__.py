"""Keeping the store small and whole: what may go, and what each part takes."""
