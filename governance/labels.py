"""What labels are called: those that Wicket sets by itself, and the form of all others.

Which exchange sets which, and where they are kept, is `sessions/labels/`; rules about them are `governance/policy`.
"""

from collections.abc import Mapping

UNTRUSTED_CONTENT = "untrusted_content"
"""Words of somebody who need not mean well stand where the model reads them."""
PERSONAL_DATA = "personal_data"
SECRET = "secret"  # noqa: S105 - the name of a label

LABEL = r"^[a-z][a-z0-9_.-]{0,63}$"
"""What a label may be called. It stands in pages, events and the database, and only operators name any."""
MOST_LABELS = 16
"""How many labels one setting may name."""

OF_FINDINGS: Mapping[str, tuple[str, ...]] = {
    "injection.*": (UNTRUSTED_CONTENT,),
    "pii.*": (PERSONAL_DATA,),
    "phi.*": (PERSONAL_DATA,),
    "secret.*": (SECRET,),
}
"""What findings in results set where nothing is configured. Explained in `docs/sessions.md`."""
