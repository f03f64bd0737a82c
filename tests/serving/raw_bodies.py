"""Loaded by schemathesis: with a header length of 0 any body of the right size is pixels, so no such body is
invalid.
"""

from typing import Any

import schemathesis


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    return (case.headers or {}).get("Inference-Header-Content-Length") != "0"
