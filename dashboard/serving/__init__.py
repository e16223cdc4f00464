"""The command `ui` and its server: access control, and what is loaded before it serves."""
