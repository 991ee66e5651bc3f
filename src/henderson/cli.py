"""The shell's door: `henderson fit`, `henderson datasets`.

Exit codes: 0 the fit can be used; 1 the formula, the data or the model is wrong; 2 the command line is
wrong; 3 the fit did not converge (what it reached is printed all the same). Results go to standard output,
everything else to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import DataError, HendersonError

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Linear and mixed models: exact, fast, in one grammar.",
    epilog="Exit codes: 0 fine; 1 formula, data or model wrong; 2 command line wrong; 3 fit not converged.",
)

OK, WRONG, USAGE, NOT_CONVERGED = 0, 1, 2, 3
PICTURES = (".png", ".pdf", ".svg")


def _version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        typer.echo(f"henderson {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


@app.command()
def fit(
    formula: Annotated[
        str, typer.Argument(help='The model, for example "Reaction ~ Days + (Days | Subject)".')
    ],
    file: Annotated[str, typer.Argument(help="A CSV or Parquet file.")],
    ml: Annotated[bool, typer.Option("--ml", help="Maximum likelihood instead of REML.")] = False,
    weights: Annotated[str | None, typer.Option(help="Column of precision weights.", metavar="COL")] = None,
    offset: Annotated[str | None, typer.Option(help="Column of offsets.", metavar="COL")] = None,
    out: Annotated[Path | None, typer.Option(help="Save the fit to this file.", metavar="FIT.zip")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a record for machines, not the summary.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the fit to this file.", metavar="PLOT.png")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print a line for each iteration.")] = False,
) -> None:
    """Fit a linear mixed model and print its summary."""
    from .models.lmm import lmm

    # Before the fit: a long one must not be lost to a wrong path.
    for path in (out, plot):
        _writable(path)
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise DataError(f"'{plot}': pictures are written as {', '.join(PICTURES)}, by the end of the name.")
    fitted = lmm(formula, file, reml=not ml, weights=weights, offset=offset, verbose=verbose)
    if as_json:
        from .report.record import record

        typer.echo(record(fitted))
    else:
        typer.echo(fitted.summary(), nl=False)
    if out is not None:
        fitted.save(out)
        _say(f"saved: {out}")
    if plot is not None:
        with _writing(plot):
            fitted.plot.fit().savefig(plot)
        _say(f"drawn: {plot}")
    if not fitted.status.converged:
        raise typer.Exit(NOT_CONVERGED)


@app.command()
def datasets(
    name: Annotated[str | None, typer.Argument(help="One of them: print its rows as CSV.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the rows to this file instead.", metavar="FILE.csv")
    ] = None,
) -> None:
    """List the classic data sets, or give one as CSV."""
    from . import datasets as sets

    if name is None:
        names = sets.names()
        width = max(map(len, names))
        for each in names:
            about = sets.describe(each)
            typer.echo(f"{each:<{width}}  {about.get('rows', ''):>6}  {about.get('title', '')}".rstrip())
        return
    table = sets.load(name)
    if out is None:
        typer.echo(table.to_csv(index=False), nl=False)
        return
    _writable(out)
    with _writing(out):
        table.to_csv(out, index=False)
    _say(f"written: {out}")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _writable(path: Path | None) -> None:
    """Refuse a path whose folder is not there, or that is a folder."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise DataError(f"there is no folder '{path.parent}' to write '{path.name}' in.")
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, not a file to write.")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What the system says of a file that cannot be written, as an error of the package."""
    try:
        yield
    except OSError as error:
        raise DataError(f"'{path}' cannot be written: {error.strerror or error}.") from None


def main(arguments: list[str] | None = None) -> Any:
    """The program. Errors of the package are printed without a traceback."""
    try:
        return app(arguments, prog_name="henderson", standalone_mode=True)
    except HendersonError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    except BrokenPipeError:
        sys.stderr.close()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(WRONG)


if __name__ == "__main__":
    main()
