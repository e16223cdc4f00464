"""From candidate to champion."""
