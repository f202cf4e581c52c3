"""``python -m npalexnet`` is the command ``npalexnet``."""

import sys

from npalexnet.cli import main

sys.exit(main())
