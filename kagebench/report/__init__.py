"""Reports: tables, curves, strips of frames and a page, all from the files that a run wrote."""
