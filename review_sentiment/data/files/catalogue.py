"""The reader of a file, by its content."""

from pathlib import Path

from review_sentiment.data.files.csv_file import CsvFile
from review_sentiment.data.files.json_file import JsonFile
from review_sentiment.data.files.parquet_file import ParquetFile
from review_sentiment.data.files.recognition import content_of
from review_sentiment.data.files.review_file import ReviewFile


def open_reviews(path: Path) -> ReviewFile:
    """Return the reader of a file, whatever its name.

    Raises:
        UsageError: the file is missing, empty or of another kind, or two columns have the same name.
        DataError: it is damaged, or not in UTF-8.
    """
    match content_of(path):
        case "parquet":
            return ParquetFile(path)
        case "csv":
            return CsvFile(path)
        case "json":
            return JsonFile(path, lines=False)
        case _:
            return JsonFile(path, lines=True)
