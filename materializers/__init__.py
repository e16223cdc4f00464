"""How artifacts of our types are saved, hashed and previewed.

Every materializer hashes the content: if a step runs again and returns the same content, all later steps stay
cached.
"""
