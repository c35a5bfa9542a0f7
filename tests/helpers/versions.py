"""What versions of other libraries get wrong, where a test cannot do without them."""

from __future__ import annotations

from importlib.metadata import version

#: Truncation tokenizes no more than the first window needs, and what overflows is lost (tokenizers issue 2091).
OVERFLOW_IS_LOST = version("tokenizers") in ("0.23.1", "0.23.2")
