"""A loaded version over HTTP, with the requests and responses of MLflow's scoring server.

A review that cannot be scored costs only itself: its place in `predictions` has the reason, `error`. No
response has a stack trace or a path of this machine; unexpected errors are in the server's log.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.data.files.csv_file import CsvFile
from review_sentiment.errors import DataError, ReviewSentimentError
from review_sentiment.scoring.scorer import Row, Scorer

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse

RECORDS, SPLIT, INSTANCES, INPUTS = "dataframe_records", "dataframe_split", "instances", "inputs"
KEYS = (RECORDS, SPLIT, INSTANCES, INPUTS)
EXAMPLE = '{"dataframe_records": [{"title": "Lovely", "text": "Fits well and is soft."}]}'
NOT_AN_OBJECT = "a review must be an object with `text` and, optionally, `title`"
LONGEST_INTEGER = 20
"""Digits that are read. Python refuses integers of more than 4,300, and no number is a text anyway."""


def build_app(scorer: Scorer, name: str, version: str) -> Starlette:
    """Return the application that answers with this version of the registered model `name`."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def ping(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ready"})

    async def about(_: Request) -> JSONResponse:
        return JSONResponse({"name": name, "version": version, "labels": list(scorer.labels)})

    def answered(read: Callable[[bytes], list[Row]], body: bytes) -> list[dict[str, Any]]:
        return [
            answer if "error" in answer else answer | {"model_version": version}
            for answer in scorer.answer_each(read(body))
        ]

    async def invocations(request: Request) -> JSONResponse:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in READERS:
            raise HTTPException(415, f"The Content-Type must be {' or '.join(READERS)}.")
        try:
            predictions = await run_in_threadpool(answered, READERS[kind], await request.body())
        except ReviewSentimentError as error:
            raise HTTPException(400, str(error)) from error
        return JSONResponse({"predictions": predictions})

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return JSONResponse({"message": error.detail}, error.status_code, error.headers)

    async def failed(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"message": "This request failed. The server's log has the reason."}, 500)

    return Starlette(
        routes=[
            Route("/", about),
            Route("/version", about),
            Route("/ping", ping),
            Route("/health", ping),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={HTTPException: refused, Exception: failed},
    )


def _json_rows(body: bytes) -> list[Row]:
    try:
        request = json.loads(body, parse_int=lambda digits: int(digits[:LONGEST_INTEGER]))
    except RecursionError as error:
        raise DataError("The request is not valid JSON: it is nested too deeply.") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise DataError(f"The request is not valid JSON: {error}. Send, for example, {EXAMPLE}") from error
    given = [key for key in KEYS if key in request] if isinstance(request, dict) else []
    if len(given) != 1:
        raise DataError(
            f"The request must be an object with one of the keys {', '.join(KEYS)}. Send, for example, "
            f"{EXAMPLE}"
        )
    reviews = request[given[0]]
    if given == [SPLIT]:
        reviews = _from_split(reviews)
    elif isinstance(reviews, dict):
        reviews = _from_columns(reviews)
    if not isinstance(reviews, list):
        raise DataError(f"`{given[0]}` must be a list of reviews. Send, for example, {EXAMPLE}")
    return [(review, "") if isinstance(review, dict) else ({}, NOT_AN_OBJECT) for review in reviews]


def _from_split(split: Any) -> list[Any]:
    """Return the reviews of `{"columns": [...], "data": [[...], ...]}`."""
    match split:
        case {"columns": [*columns], "data": [*rows]} if all(isinstance(name, str) for name in columns):
            width = len(columns)
            if len(set(columns)) < width:
                raise DataError(f"`columns` of `{SPLIT}` has a name twice.")
            return [
                dict(zip(columns, row, strict=True)) if isinstance(row, list) and len(row) == width else row
                for row in rows
            ]
    raise DataError(
        f"`{SPLIT}` must be an object with `columns`, a list of names, and `data`, a list of rows."
    )


def _from_columns(columns: Mapping[str, Any]) -> list[Any]:
    """Return the reviews of `{"text": [...], "title": [...]}`."""
    lengths = {len(values) if isinstance(values, list) else -1 for values in columns.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise DataError("The columns must be lists of the same length.")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _csv_rows(body: bytes) -> list[Row]:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"The request is not in UTF-8: {error}.") from error
    with tempfile.TemporaryDirectory(prefix="review-sentiment-request-") as directory:
        file = Path(directory) / "request.csv"
        file.write_bytes(body)
        return [(row.values, row.problem) for row in CsvFile(file).rows()]


READERS: Mapping[str, Callable[[bytes], list[Row]]] = {"application/json": _json_rows, "text/csv": _csv_rows}
