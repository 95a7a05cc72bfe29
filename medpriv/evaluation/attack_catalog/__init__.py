"""The attacks that can be compared, each with its baseline and its metric."""
