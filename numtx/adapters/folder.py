"""A model of the `transformers` package from its folder, weights and all; nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..strict_json import read_json


def load(folder: str) -> Any:
    """The model in a folder with config.json, as its `architectures` name it, in float32 or 64.

    Raises `UsageError` for a folder that holds no such model.
    """
    file = Path(folder) / "config.json"
    if not file.is_file():
        raise UsageError(f"{folder} has no config.json; transformers:DIR is a saved model's folder")
    try:
        import torch
        import transformers  # type: ignore[import-not-found]
    except ImportError as error:
        told = f"transformers:{folder} needs torch and transformers, which are not installed"
        raise UsageError(f"{told} ({error.name})") from None
    try:
        config = read_json(file.read_bytes(), str(file), UsageError)
        names = config.get("architectures") or ["AutoModelForCausalLM"]
        kind = getattr(transformers, str(names[0]), None)
        if kind is None:
            raise UsageError(f"{file}: transformers has no {names[0]}")
        double = "float64" in (config.get("dtype"), config.get("torch_dtype"))
        dtype = torch.float64 if double else torch.float32
        return kind.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()
    except UsageError:
        raise
    except Exception as error:  # whatever the package says of a file
        told = " ".join(str(error).split())
        raise UsageError(f"{folder} cannot be loaded: {type(error).__name__}: {told}") from None
