"""The pipeline's steps, one a file: unpack inputs, call `review_sentiment`, log, return artifacts.

A step's parameters bear the names of the sections of the settings that it
needs, so that a change of any other section leaves it cached.
"""
