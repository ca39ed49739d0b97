"""Loading much at once, while the garbage collector rests.

Loading makes some hundred thousand objects that stay. The collector would go through them again and again while they
are made, which takes a fifth of the time in which a proxy starts.
"""

import gc
import importlib
from types import ModuleType


def load(module: str) -> ModuleType:
    """A module that only some of what its caller does needs."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()  # not collected before: of all this, about one object in a hundred is ever left behind
        gc.enable()
