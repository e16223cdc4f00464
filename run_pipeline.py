#!/usr/bin/env python
"""The command line.

python run_pipeline.py                      the default run: embedded reviews and model, on this machine
python run_pipeline.py --stack gpu          the same pipeline on the stack in stacks/gpu.yaml
python run_pipeline.py --rerun evaluate     all steps from the cache, except this one
python run_pipeline.py models               the registered versions
"""

from __future__ import annotations

import gc
import sys

from dashboard.serving.command import ui
from front_door.commands.run import cli
from front_door.main import main

cli.add_command(ui)

if __name__ == "__main__":
    code = main()
    gc.freeze()  # without it, the interpreter's last collection takes 0.6 s after MLflow or ZenML was loaded
    sys.exit(code)
