"""A process that installs a tool: `ensure.py TOOL_AS_JSON HOME` prints where it is."""

import json
import os
import sys
from pathlib import Path

from moat.errors import MoatError
from moat.tools.catalogue import Package, Tool
from moat.tools.install import ensure_tool
from moat.tools.progress import progress_on

spec, integrity, files, download, installed = json.loads(sys.argv[1])
package = Package(os.uname().machine, spec, integrity, "package/vendor")
tool = Tool("tiny", "1.0.0", (package,), tuple(files), ("bin",), download, installed)
try:
    print(ensure_tool(tool, home=Path(sys.argv[2]), progress=progress_on(sys.stderr)))
except MoatError as error:
    sys.exit(f"error: {error}\nhint: {error.hint}")
except KeyboardInterrupt:
    sys.exit(130)
