"""Results of the benchmark: the file format, the scores in it, tables and comparisons."""
