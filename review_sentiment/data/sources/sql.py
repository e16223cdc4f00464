"""The rows of a query, from any database that SQLAlchemy has a driver for.

    --set data.source=sqlite:///reviews.db --set data.query='select text, rating from reviews'
    --set data.source=postgresql+psycopg://reader@db.example.org/shop --set data.query='select ...'

The query is one SELECT, in a connection that cannot write if the database has such a thing. The driver reads
the password from its own variable or file; an address with one is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from review_sentiment.data.files.review_file import refuse_equal
from review_sentiment.data.sources.copies import write_rows
from review_sentiment.errors import DataError, UsageError, did_you_mean, first_line

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

DATABASES = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")
"""Those that SQLAlchemy knows; others come with a package that says so."""
ROWS_AT_ONCE = 1_000
READ_ONLY = "SET TRANSACTION READ ONLY"
KNOW_READ_ONLY = ("postgresql", "mysql", "mariadb", "oracle")
PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""The package of a module, if its name is another one."""
PASSWORDS = {
    "postgresql": " The password is read from PGPASSWORD or ~/.pgpass.",
    "mysql": " The password is read from the file of ?read_default_file=~/.my.cnf.",
    "mariadb": " The password is read from the file of ?read_default_file=~/.my.cnf.",
}


def is_database(address: str) -> bool:
    """Return whether an address is one of SQLAlchemy's: `DIALECT://...` or `DIALECT+DRIVER://...`."""
    dialect, separator, _ = address.partition("://")
    if not separator:
        return False
    if "+" in dialect or dialect in DATABASES:
        return True
    return dialect in entry_points(group="sqlalchemy.dialects").names


class SqlQuery:
    """The rows of a query; each copy takes running it, and equal rows in the same order are the same copy."""

    def __init__(self, address: str, query: str | None) -> None:
        """Check the address and the query, without a connection.

        Raises:
            UsageError: one of them is wrong, or the address has a password.
        """
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            self._url = make_url(address)
        except (ArgumentError, ValueError):  # which repeat the address
            raise UsageError(
                "data.source: the address of the database cannot be read. Write sqlite:///FILE or "
                "postgresql+psycopg://USER@HOST/DATABASE."
            ) from None
        if self._url.password is not None:
            raise UsageError(
                "data.source: the address contains a password. Leave it out."
                f"{PASSWORDS.get(self._dialect, '')}"
            )
        if query is None:
            raise UsageError(
                f"data.query: '{address}' is a database. Set the statement that reads the reviews, such as "
                'data.query="select text, rating from reviews".'
            )
        require_one_select(query)
        self.name = address
        self._query = query
        file = str(Path(self._url.database or "").absolute()) if self._dialect == "sqlite" else ""
        self.key: tuple[str, ...] = ("sql", address, file, query)

    def state(self) -> str | None:
        """Return None: only the rows can tell whether they have changed."""
        return None

    def write(self, directory: Path) -> None:
        """Write the rows, as the database sends them.

        Raises:
            UsageError: the driver is missing, or the database refuses the query.
            DataError: there is no connection, or there are no rows.
        """
        database = str(self._url.database or "")
        name = Path(database).stem if self._dialect == "sqlite" else database
        with self._connection() as connection, self._errors():
            result = connection.exec_driver_sql(
                self._query, execution_options={"yield_per": ROWS_AT_ONCE, "no_parameters": True}
            )
            columns = tuple(result.keys())
            refuse_equal("The result of data.query", columns)
            rows = (dict(zip(columns, row, strict=True)) for row in result)
            write_rows(directory, name, rows, f"The result of data.query from {self.name}")

    @property
    def _dialect(self) -> str:
        return str(self._url.get_backend_name())

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Connect, and begin what cannot write.

        Raises:
            UsageError: the driver or the file is missing.
            DataError: there is no connection.
        """
        from sqlalchemy.exc import DBAPIError

        engine = self._engine()
        try:
            connection = engine.connect()
        except DBAPIError as error:
            raise DataError(
                f"{self.name} cannot be opened: {_reason(error)}. Check the address, and that the database "
                f"runs and can be reached.{PASSWORDS.get(self._dialect, '')}"
            ) from error
        with connection:  # at its end, the transaction is rolled back
            if self._dialect in KNOW_READ_ONLY:
                connection.exec_driver_sql(READ_ONLY)
            yield connection

    def _engine(self) -> Engine:
        from sqlalchemy import NullPool, create_engine
        from sqlalchemy.exc import NoSuchModuleError

        options: dict[str, Any] = {"poolclass": NullPool}
        if self._url.drivername in ("sqlite", "sqlite+pysqlite"):
            file = Path(self._url.database or "").expanduser()
            if not file.is_file():
                raise UsageError(f"data.source: there is no database '{file}'. Write sqlite:///FILE.")
            options["creator"] = partial(_read_only_file, file)
        try:
            engine = create_engine(self._url, **options)
        except NoSuchModuleError as error:
            raise UsageError(
                f"data.source: SQLAlchemy has no '{self._url.drivername}'."
                f"{did_you_mean(self._dialect, DATABASES)} Other databases need the package of their dialect."
            ) from error
        except ImportError as error:
            missing = PACKAGES.get(str(error.name), error.name)
            raise UsageError(
                f"data.source: the driver of {self._url.drivername}:// is missing ({first_line(error)}). "
                f"Install it with `pip install '{missing or self._url.get_driver_name()}'`, or name another "
                "driver, as in postgresql+psycopg://."
            ) from error
        if engine.dialect.is_async:
            raise UsageError(
                f"data.source: the driver of {self._url.drivername}:// is asynchronous. Name another one, as "
                "in postgresql+psycopg://."
            )
        return engine

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the database says about a query into an error for the user."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            yield
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise DataError(
                    f"{self.name}: the connection is lost ({_reason(error)}). Run again."
                ) from error
            raise UsageError(f"data.query: the database says: {_reason(error)}.") from error


def require_one_select(query: str) -> None:
    """Check that a query is one statement that reads.

    Raises:
        UsageError: it is not.
    """
    import sqlparse

    try:
        parsed = sqlparse.parse(query)
    except sqlparse.exceptions.SQLParseError as error:
        raise UsageError(f"data.query: too long or nested too deep ({first_line(error)}).") from error
    statements = [one for one in parsed if str(one.token_first(skip_cm=True) or ";") != ";"]
    if [one.get_type() for one in statements] != ["SELECT"]:
        count = "no statement" if not statements else f"{len(statements)} statements"
        found = "another statement" if len(statements) == 1 else count
        raise UsageError(
            f"data.query: this is {found}. Write one SELECT statement, which may begin with WITH: nothing "
            "else is sent to the database."
        )


def _read_only_file(file: Path) -> sqlite3.Connection:
    """Open a file of SQLite, which would otherwise create a missing one."""
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)


def _reason(error: Exception) -> str:
    """Return the first line of what the driver says; SQLAlchemy adds the query and its values."""
    return first_line(getattr(error, "orig", None) or error).rstrip(".")
