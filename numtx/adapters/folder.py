"""A model of the `transformers` package from its folder, weights and all; nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..strict_json import read_json


def check_installed(what: str) -> None:
    """Raise `UsageError` where the packages that something needs are not installed."""
    try:
        import torch  # noqa: F401
        import transformers  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        told = f"{what} needs the packages torch and transformers, which are not installed"
        raise UsageError(f"{told} ({error.name}): pip install torch transformers") from None


def load(folder: str, dtype: str | None = None) -> Any:
    """The model in a folder with config.json, as its `architectures` name it.

    dtype  float64 or float32; None: as config.json says, float32 where that says neither

    Raises `UsageError` for a folder that holds no such model.
    """
    file = Path(folder) / "config.json"
    if not file.is_file():
        raise UsageError(f"{folder} has no config.json; transformers:DIR is a saved model's folder")
    check_installed(f"transformers:{folder}")
    try:
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        config = read_json(file.read_bytes(), str(file), UsageError)
        names = config.get("architectures") or ["AutoModelForCausalLM"]
        kind = getattr(transformers, str(names[0]), None)
        if kind is None:
            raise UsageError(f"{file}: transformers has no {names[0]}")
        double = "float64" in (dtype or config.get("dtype"), dtype or config.get("torch_dtype"))
        taken = torch.float64 if double else torch.float32
        return kind.from_pretrained(folder, dtype=taken, local_files_only=True).eval()
    except UsageError:
        raise
    except Exception as error:  # whatever the package says of a file
        told = " ".join(str(error).split())
        raise UsageError(f"{folder} cannot be loaded: {type(error).__name__}: {told}") from None
