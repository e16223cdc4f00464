"""Makes HTTP requests and prints, as one JSON list, why each failed; null for one that did not.

    REQUESTS='[{"method": "GET", "url": "...", "headers": {}, "body": ""}]' python3 reach.py

The probe pod runs this text, so it takes Python's standard library only. What it prints has no credentials.
"""

import http.client
import json
import os
import urllib.error
import urllib.request

VARIABLE = "REQUESTS"
SECONDS_TO_ANSWER = 10


def problem_of(request: dict) -> str | None:  # type: ignore[type-arg]
    """Return why a request failed, or None."""
    made = urllib.request.Request(
        request["url"],
        request["body"].encode() or None,
        request["headers"],
        method=request["method"],
    )
    try:
        with urllib.request.urlopen(made, timeout=SECONDS_TO_ANSWER):
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.reason}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__


if __name__ == "__main__":
    print(json.dumps([problem_of(request) for request in json.loads(os.environ[VARIABLE])]))
