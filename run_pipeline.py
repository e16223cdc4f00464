#!/usr/bin/env python
"""The front door: options in, a run out, a summary last.

python run_pipeline.py                      the default: embedded reviews and model, on this machine
python run_pipeline.py --stack gpu          the same pipeline on the stack of stacks/gpu.yaml
python run_pipeline.py --rerun evaluate     everything from the cache but that step
python run_pipeline.py models               the registered versions
"""

from __future__ import annotations

import sys

from dashboard.serving.command import ui
from front_door.main import main

if __name__ == "__main__":
    sys.exit(main(more_commands=[ui]))
