"""How steps are connected, and the names of the steps in a run."""
