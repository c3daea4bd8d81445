"""Write the report of a compiled network (``hwmap report``). Usage: python examples/report.py directory"""

import sys
from pathlib import Path

import mapping
import reports

directory = Path(sys.argv[1])
reports.write(mapping.Mapping.load(directory), [], directory / "report.html", command="examples/report.py")
print(f"wrote {directory / 'report.html'}")
