"""henderson: hd.lm on a data frame, hd.gls, or hd.lm on a Parquet file, in memory or streamed."""

import inspect

from linear_clock import frame, head, job, kept, run

todo = job()


def _load():
    import henderson as hd

    return hd


def _fit(hd, data):
    options = todo.get("options", {})
    verb = getattr(hd, todo.get("verb", "lm"), None)
    if verb is None:
        return {"failed": f"not in this version: hd.{todo['verb']}"}
    missing = [name for name in options if name not in inspect.signature(verb).parameters]
    if missing:
        return {"failed": f"not in this version: {missing[0]}="}
    if not isinstance(data, str):  # the few rows of the start are a table in memory
        options = {name: value for name, value in options.items() if name != "memory_limit"}
    fit = verb(todo["formula"], data, **options)
    table = fit.fixed_effects_columns()
    return kept(table["estimate"], table["std_error"], loglik=float(fit.loglik))


def _few(rows):
    if "parquet" not in todo:
        return rows.head(head(todo))
    from pyarrow.parquet import ParquetFile

    return next(ParquetFile(rows).iter_batches(200)).to_pandas()


run(_load, _fit, lambda: todo["parquet"] if "parquet" in todo else frame(todo), _few)
