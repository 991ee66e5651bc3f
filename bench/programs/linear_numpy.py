"""NumPy by hand, X ready before the clock starts: lstsq (singular values), or the normal equations."""

import numpy as np
from linear_clock import columns, head, job, kept, run

todo = job()


def _data():
    data = columns(todo)
    x = np.column_stack([np.ones(len(data)), data[:, 1:]])
    return np.ascontiguousarray(data[:, 0]), x


def _lstsq(_, rows):
    y, x = rows
    b, rss, _, _ = np.linalg.lstsq(x, y, rcond=None)
    return kept(b, np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * rss[0] / (len(y) - len(b))))


def _normal(_, rows):
    y, x = rows
    gram = x.T @ x
    b = np.linalg.solve(gram, x.T @ y)
    e = y - x @ b
    return kept(b, np.sqrt(np.diag(np.linalg.inv(gram)) * (e @ e) / (len(y) - len(b))))


def _few(rows):
    return tuple(part[: head(todo)] for part in rows)


run(lambda: None, {"lstsq": _lstsq, "normal": _normal}[todo["variant"]], _data, _few)
