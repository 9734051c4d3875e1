"""Write expected_verdicts.json anew, after a change of the ledger that has been read."""

import json
from pathlib import Path

from numtx.documents.ledger import ROWS
from numtx.documents.row import run

if __name__ == "__main__":
    found = {result.row.id: result.verdict for result in run(ROWS)}
    file = Path(__file__).parent / "expected_verdicts.json"
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
