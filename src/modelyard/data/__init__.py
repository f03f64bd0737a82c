"""Labelled images: where they come from, how they are checked, split and fed."""
