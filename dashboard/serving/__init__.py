"""The command `ui` and its server: who may ask, and what is loaded beforehand."""
