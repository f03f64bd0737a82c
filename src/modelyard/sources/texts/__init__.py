"""Texts of one's own: tables that hold them, and folders of text files."""
