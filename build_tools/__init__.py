"""Running, building, exporting and checking the book: one job a file."""
