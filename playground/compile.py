"""Runs in the browser's Python, while the playground is built: archives of modules, those that are loaded compiled."""

import importlib.util
import io
import sys
import zipfile
from importlib._bootstrap_external import _code_to_hash_pyc


def compiled(data):
    """The archive with bytecode instead of each module that is loaded now; the rest as it was."""
    loaded = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive, zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as into:
        for name in archive.namelist():
            content = archive.read(name)
            path = next((path for path in loaded if path.endswith(f"/{name}")), None)
            if path and name.endswith(".py"):
                code = compile(content, path, "exec", dont_inherit=True)
                name, content = f"{name}c", _code_to_hash_pyc(code, importlib.util.source_hash(content), checked=False)
            into.writestr(zipfile.ZipInfo(name), bytes(content), zipfile.ZIP_DEFLATED)
    return found.getvalue()
