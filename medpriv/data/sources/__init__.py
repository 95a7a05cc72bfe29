"""One module a data set: its card, its files, its reader or generator."""
