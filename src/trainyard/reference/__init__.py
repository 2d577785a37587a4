"""The reference of every config group, made from the files of `conf/` and the docstrings of what they build."""
