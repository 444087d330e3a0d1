"""The page: search, look at and compare aligned spaces in a browser.

Nothing is imported here: a process that decodes files needs no torch for it.
"""
