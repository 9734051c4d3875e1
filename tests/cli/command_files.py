"""The files that a run of each command reads."""

from __future__ import annotations

import json
from pathlib import Path

from small_folders import written

from numtx import load_example, save_parameters, save_trace
from numtx.cli import main


def command_files(folder: Path) -> dict[str, str]:
    """Traces of two seeds, parameters and configuration of cat; a saved model; an exercise that
    is answered wrongly; and a place for a new file."""
    example = load_example("cat")
    names = {name: str(folder / f"{name}.npz") for name in ("trace", "other", "parameters", "new")}
    save_trace(example.trace(), names["trace"])
    save_trace(load_example("cat", seed=1).trace(), names["other"])
    save_parameters(names["parameters"], example.parameters)
    config, solution = folder / "config.json", folder / "solution.py"
    config.write_text(json.dumps(example.config.to_dict()))
    assert main(["learn", "3", "--exercise", str(solution)]) == 0
    text = solution.read_text(encoding="utf-8").replace(
        "    ...\n", "    return queries @ keys.T\n"
    )
    solution.write_text(text, encoding="utf-8")
    model = str(written(folder / "m", "llama"))
    return {**names, "config": str(config), "solution": str(solution), "folder": model}
