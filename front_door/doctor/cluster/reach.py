"""Prints, as one JSON object, why each given URL does not respond; null if it does.

    python3 reach.py URL...

The probe pod runs this text, so it takes Python's standard library only. Credentials are not needed: any
answer below 500, also a refusal to sign in, shows that the pod can resolve and reach the service.
"""

import http.client
import json
import sys
import urllib.error
import urllib.request

SECONDS_TO_ANSWER = 10
SERVER_ERROR = 500


def problem_of(url: str) -> str | None:
    """Return why the service does not respond, or None."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS_TO_ANSWER):
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.reason}" if error.code >= SERVER_ERROR else None
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__


if __name__ == "__main__":
    print(json.dumps({url: problem_of(url) for url in sys.argv[1:]}))
