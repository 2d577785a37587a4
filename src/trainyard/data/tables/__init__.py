"""Tables: files, cells, dates and columns."""
