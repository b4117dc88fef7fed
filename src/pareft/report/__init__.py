"""A comparison as Markdown, CSV, a terminal table and a picture."""
