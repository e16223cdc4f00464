"""How our artifact types are saved, hashed and previewed.

Every materializer computes a hash of the content, so that a step which runs
again and yields the same leaves everything downstream cached.
"""
