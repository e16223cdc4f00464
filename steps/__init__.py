"""The pipeline's steps, one per file: unpack inputs, call `review_sentiment`, log, return artifacts.

A step takes only the sections of the settings that it needs, as parameters of the same names. A change in
any other section leaves it cached.
"""
