"""The shell's door: `henderson fit`, `henderson check`, `henderson plan`, `henderson datasets`.

Exit codes: 0 the fit can be used (`check`: nothing is wrong); 1 the formula, the data or the model is wrong; 2 the command line is
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

from .errors import DataError, HendersonError, ModelError

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Linear and mixed models: exact, fast, in one grammar.",
    epilog="Exit codes: 0 fine; 1 formula, data or model wrong; 2 command line wrong; 3 fit not converged.",
)

OK, WRONG, USAGE, NOT_CONVERGED = 0, 1, 2, 3
Relationship = Annotated[
    list[str] | None,
    typer.Option(
        help="A file that vm(..., NAME) or car(..., NAME) names: a pedigree (animal, sire, dam), a square table with ids, or pairs of "
        "neighbours. May be given several times.",
        metavar="NAME=FILE",
    ),
]
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
    residual: Annotated[
        str | None,
        typer.Option(
            help='Covariance of the residuals: "ar1(0 + Days | Subject)", "(1 | ar1(row):ar1(col)) + (1 | units)".',
            metavar="TERM",
        ),
    ] = None,
    variance: Annotated[
        str | None,
        typer.Option(help='Variance of the residuals: "ident(sex)", "power(x)".', metavar="FUNCTION"),
    ] = None,
    relationship: Relationship = None,
    ml: Annotated[bool, typer.Option("--ml", help="Maximum likelihood instead of REML.")] = False,
    vcov: Annotated[
        str | None,
        typer.Option(
            help="Robust covariance of the coefficients of least squares: HC3, cluster(g).", metavar="KIND"
        ),
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Column of precision weights.", metavar="COL")] = None,
    offset: Annotated[str | None, typer.Option(help="Column of offsets.", metavar="COL")] = None,
    anova: Annotated[
        int | None, typer.Option(min=1, max=3, help="Print tests of the terms, of this type, too.")
    ] = None,
    emmeans: Annotated[
        list[str] | None, typer.Option(help="Print marginal means of these factors too.", metavar="SPEC")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the model in matrix form, not the summary.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Save the fit to this file.", metavar="FIT.zip")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a record for machines, not the summary.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the fit to this file.", metavar="PLOT.png")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print a line for each iteration.")] = False,
) -> None:
    """Fit a model and print its summary: with random terms a linear mixed model (which may have --residual, --variance and
    --relationship), without them and with --residual or --variance generalised least squares, else least squares.
    """
    # Before the fit: a long one must not be lost to a wrong path.
    for path in (out, plot):
        _writable(path)
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise DataError(f"'{plot}': pictures are written as {', '.join(PICTURES)}, by the end of the name.")
    if explain and as_json:
        raise ModelError("--explain prints for the eye and --json for machines: ask for one of them.")
    fitted = _fitted(formula, file, residual, variance, relationship, ml, vcov, weights, offset, verbose)
    if as_json:
        from .report.record import record

        typer.echo(record(fitted, anova, emmeans or []))
    else:
        typer.echo(str(fitted.explain()) if explain else fitted.summary(), nl=False)
        if anova is not None:
            typer.echo(f"\nTests of the terms, type {anova}:\n{_table(fitted.anova(type=anova))}")
        for spec in emmeans or []:
            typer.echo(f"\nMarginal means of {spec}:\n{_table(fitted.emmeans(spec))}")
    if out is not None:
        fitted.save(out)
        _say(f"saved: {out}")
    if plot is not None:
        with _writing(plot):
            fitted.plot.fit().savefig(plot)
        _say(f"drawn: {plot}")
    if not fitted.status.converged:
        raise typer.Exit(NOT_CONVERGED)


def _fitted(
    formula: str,
    file: str,
    residual: str | None,
    variance: str | None,
    relationship: list[str] | None,
    ml: bool,
    vcov: str | None,
    weights: str | None,
    offset: str | None,
    verbose: bool,
) -> Any:
    """The fit of the verb that the model belongs to; an option that it would not heed is refused."""
    from .formula import parse

    random = bool(parse(formula).random)
    least_squares = not random and residual is None and variance is None
    if vcov is not None and not least_squares:
        raise ModelError(
            "--vcov is for least squares: a model without random terms, --residual and --variance."
        )
    if ml and least_squares:
        raise ModelError(
            "--ml: least squares has no variance parameters for REML or ML to differ in. Leave it out."
        )
    if relationship and not random:
        raise ModelError("--relationship is for random terms, as (1 | vm(animal, A)): this formula has none.")
    if least_squares:
        from .models.lm import lm

        return lm(formula, file, weights=weights, offset=offset, vcov=vcov)
    options: dict[str, Any] = {"reml": not ml, "weights": weights, "offset": offset, "verbose": verbose}
    if random:
        from .models.lmm import lmm
        from .models.relationship_files import relationships_of

        known = relationships_of(formula, relationship or [])
        return lmm(formula, file, residual=residual, variance=variance, relationships=known, **options)
    from .models.gls import gls

    return gls(formula, file, residual=residual, variance=variance, **options)


def _table(table: Any) -> str:
    """A table as text, every row of it."""
    return str(table.to_string(index=False)) if hasattr(table, "to_string") else str(table).rstrip()


@app.command()
def check(
    formula: Annotated[str, typer.Argument(help='The model, for example "yield ~ block + N * P * K".')],
    file: Annotated[str, typer.Argument(help="A CSV or Parquet file.")],
    residual: Annotated[
        str | None, typer.Option(help="Correlation of the residuals.", metavar="TERM")
    ] = None,
    variance: Annotated[
        str | None, typer.Option(help="Variance of the residuals.", metavar="FUNCTION")
    ] = None,
    relationship: Relationship = None,
    weights: Annotated[str | None, typer.Option(help="Column of precision weights.", metavar="COL")] = None,
) -> None:
    """Say what can be estimated from a model and a table, before any fit. Exit code 1 where something cannot."""
    from .models.check import check as checked
    from .models.relationship_files import relationships_of

    known = relationships_of(formula, relationship or [])
    found = checked(formula, file, residual=residual, variance=variance, weights=weights, relationships=known)
    typer.echo(repr(found), nl=False)
    if not found.ok:
        raise typer.Exit(WRONG)


@app.command()
def plan(
    formula: Annotated[str, typer.Argument(help='The model, for example "y ~ sex + (1 | vm(animal, A))".')],
    file: Annotated[str, typer.Argument(help="A CSV or Parquet file.")],
    residual: Annotated[
        str | None, typer.Option(help="Correlation of the residuals.", metavar="TERM")
    ] = None,
    variance: Annotated[
        str | None, typer.Option(help="Variance of the residuals.", metavar="FUNCTION")
    ] = None,
    relationship: Relationship = None,
    weights: Annotated[str | None, typer.Option(help="Column of precision weights.", metavar="COL")] = None,
) -> None:
    """Say how a mixed model would be fitted: solver, sizes, operations, memory. Exit code 1 where this machine has too little."""
    from .models.plan import plan as planned
    from .models.relationship_files import relationships_of

    known = relationships_of(formula, relationship or [])
    found = planned(formula, file, residual=residual, variance=variance, weights=weights, relationships=known)
    typer.echo(str(found), nl=False)
    if not found.fits:
        raise typer.Exit(WRONG)


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
