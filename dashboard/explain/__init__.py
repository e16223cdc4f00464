"""Small computations that the Learn page shows."""
