"""Saved fits: loaded ones say the same to the last digit; damaged and malicious files are refused with a reason."""

from __future__ import annotations

import io
import json
import pickle
import sys
import zipfile

import numpy as np
import pytest
from test_predict import FORMULA, table

import henderson as hd


@pytest.fixture(scope="module")
def data():
    return table()


FITS = {
    "crossed": lambda d: hd.lmm(FORMULA, d, weights="w", offset="o"),
    "ml": lambda d: hd.lmm("y ~ poly(x, 2) + h + (x || g)", d, reml=False),
    "nested": lambda d: hd.lmm("y ~ x + (1 | g/h)", d.assign(x=d.x.where(d.x > 0.5))),
    "held": lambda d: hd.lmm("y ~ x + (x | g)", d, fixed_parameters={"g": [[4.0, 0.5], [0.5, 1.0]]}),
    "residual held": lambda d: hd.lmm("y ~ x + (1 | g)", d, fixed_parameters={"Residual": 1.5}),
    "dropped": lambda d: hd.lmm("y ~ x + x2 + (1 | g)", d.assign(x2=2 * d.x), offset=d.o.to_numpy()),
    "boundary": lambda d: hd.lmm("y ~ x + (1 | g)", d.assign(y=np.arange(80.0) % 7)),
    "no fixed": lambda d: hd.lmm("y ~ 0 + (1 | g)", d),
    "sparse": lambda d: hd.lmm("y ~ service + (1 | s) + (1 | d)", hd.datasets.load("InstEval")),
}


@pytest.fixture(scope="module", params=FITS)
def pair(request, data, tmp_path_factory):
    fit = FITS[request.param](data)
    path = tmp_path_factory.mktemp("fits") / "fit.zip"
    fit.save(path)
    return fit, hd.load(path), (hd.datasets.load("InstEval").head(200) if request.param == "sparse" else data)


def test_a_loaded_fit_says_the_same_to_the_last_digit(pair):
    fit, again, _ = pair
    assert again.summary() == fit.summary()
    assert repr(again) == repr(fit)
    for name in ("fixed_effects", "variance_components", "random_effects"):
        assert getattr(again, name).equals(getattr(fit, name)), name
    for name in (
        "deviance",
        "loglik",
        "aic",
        "bic",
        "nobs",
        "npar",
        "sigma",
        "df_residual",
        "groups",
        "dropped",
    ):
        assert getattr(again, name) == getattr(fit, name), name
    assert (again.n_dropped, again.rows_note) == (fit.n_dropped, fit.rows_note)
    assert again.status == fit.status
    np.testing.assert_array_equal(again.theta, fit.theta)
    np.testing.assert_array_equal(again.vcov, fit.vcov)
    assert again.tidy("ran_pars").equals(fit.tidy("ran_pars")) and again.glance().equals(fit.glance())


def test_a_loaded_fit_predicts_the_same(pair):
    fit, again, data = pair
    if "x2" in fit.formula:
        data = data.assign(x2=2 * data.x)
    arguments = {"offset": data.o.to_numpy()} if fit.spec["offset_array"] else {}
    assert again.predict(data, interval="prediction", new_levels="population", **arguments).equals(
        fit.predict(data, interval="prediction", new_levels="population", **arguments)
    )
    assert again.predict(data, random_effects=False, interval="confidence", **arguments).equals(
        fit.predict(data, random_effects=False, interval="confidence", **arguments)
    )


def test_a_loaded_fit_can_be_saved_again(pair, tmp_path):
    _, again, _ = pair
    again.save(tmp_path / "second.zip")
    assert hd.load(tmp_path / "second.zip").summary() == again.summary()


@pytest.mark.parametrize(
    "ask",
    [
        lambda f: f.fitted,
        lambda f: f.residuals,
        lambda f: f.predict(),
        lambda f: f.simulate(),
        lambda f: f.refit(np.zeros(80)),
        lambda f: f.augment(),
        lambda f: f.plot.fit(),
        lambda f: f.plot.residuals(),
    ],
)
def test_what_needs_rows_says_so(ask, saved):
    with pytest.raises(hd.ModelError, match="holds no rows"):
        ask(hd.load(saved))


@pytest.fixture
def saved(data, tmp_path):
    path = tmp_path / "fit.zip"
    hd.lmm(FORMULA, data, weights="w", offset="o").save(path)
    return path


def test_the_file_holds_no_rows(saved, data):
    # no array has as many entries as there are rows, and no response is in it
    with zipfile.ZipFile(saved) as archive:
        shapes = {
            n: np.load(io.BytesIO(archive.read(n))).shape for n in archive.namelist() if n.endswith(".npy")
        }
        text = archive.read("fit.json").decode()
    assert all(80 not in shape for shape in shapes.values()), shapes
    assert not any(repr(float(v)) in text for v in [*data.y, *data.x])


# -- damage --------------------------------------------------------------------------------------------------


def rewrite(path, changes):
    """The zip with some members replaced (or left out, where None)."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members |= changes
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)


def edited(path, edit):
    with zipfile.ZipFile(path) as archive:
        record = json.loads(archive.read("fit.json"))
    edit(record)
    rewrite(path, {"fit.json": json.dumps(record)})


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def test_no_such_file(tmp_path):
    with pytest.raises(hd.DataError, match="there is no file"):
        hd.load(tmp_path / "nothing.zip")


def test_not_a_zip(tmp_path):
    path = tmp_path / "fit.zip"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(hd.DataError, match="is not a saved fit"):
        hd.load(path)


def test_another_zip(tmp_path):
    path = tmp_path / "fit.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(hd.DataError, match=r"no fit\.json"):
        hd.load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(hd.DataError, match="only a part of one"):
        hd.load(saved)


def test_flipped_bytes(saved):
    # every fortieth byte in turn: refused with a reason, or (bytes that carry nothing) the same fit; never anything else
    whole, summary = bytearray(saved.read_bytes()), hd.load(saved).summary()
    for at in range(0, len(whole), 40):
        broken = whole.copy()
        broken[at] ^= 0x55
        saved.write_bytes(bytes(broken))
        try:
            again = hd.load(saved)
        except hd.DataError:
            continue
        assert again.summary() == summary


def test_a_later_format_is_named(saved):
    edited(saved, lambda record: record.update(version=99, henderson="7.0"))
    with pytest.raises(hd.DataError, match=r"later version \(henderson 7\.0, format 99\)"):
        hd.load(saved)


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: r.update(format="something"),
        lambda r: r.update(version="1"),
        lambda r: r.pop("labels"),
        lambda r: r["labels"].pop("terms"),
        lambda r: r["labels"]["terms"][0].update(levels=["a"]),
        lambda r: r["labels"]["terms"][0].update(effects=["a"]),
        lambda r: r["labels"]["terms"][0].update(structure="nonsense"),
        lambda r: r["labels"].update(terms=[]),
        lambda r: r["labels"].update(fixed=["x"]),
        lambda r: r["coordinates"].update(y_scale="wide"),
        lambda r: r["coordinates"].update(y_scale=-1.0),
        lambda r: r["coordinates"].update(n=-5),
        lambda r: r["problem"].update(held=[]),
        lambda r: r.update(spec=[]),
        lambda r: r["spec"].pop("columns"),
        lambda r: r.update(status=None),
    ],
)
def test_a_record_that_does_not_fit_is_refused(saved, edit):
    edited(saved, edit)
    with pytest.raises(hd.DataError, match=r"damaged|another kind|not a saved fit"):
        hd.load(saved)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("theta", None),
        ("theta", npy(np.zeros(2))),
        ("theta", npy(np.full(4, np.nan))),
        ("theta", npy(np.zeros(4, dtype=np.int64))),
        ("own_0", npy(np.zeros((3, 2, 2)))),
        ("r", npy(np.zeros((2, 3)))),
        ("kept", npy(np.array([0, 7]))),
        ("pair_0_rows", npy(np.full(36, 10**12))),
        ("corner", b"\x93NUMPY"),
        ("corner", npy(np.zeros((3, 3)))[:-8]),
        ("corner", npy(np.zeros((3, 3))).replace(b"(3, 3)", b"(3, 9)")),
        ("corner", npy(np.zeros((3, 3))).replace(b"'<f8'", b"'|O8'".ljust(5))),
    ],
)
def test_an_array_that_does_not_fit_is_refused(saved, name, content):
    rewrite(saved, {f"arrays/{name}.npy": content})
    with pytest.raises(hd.DataError, match="damaged"):
        hd.load(saved)


def test_a_record_that_is_no_json_and_an_array_of_another_version_are_refused(saved, data):
    rewrite(saved, {"arrays/theta.npy": npy(np.zeros(4)).replace(b"NUMPY\x01", b"NUMPY\x02", 1)})
    with pytest.raises(hd.DataError, match=r"version 1\.0"):
        hd.load(saved)
    rewrite(saved, {"fit.json": b"{not json"})
    with pytest.raises(hd.DataError, match=r"fit\.json cannot be read"):
        hd.load(saved)


def test_an_array_that_neither_list_nor_file_has_is_missed(saved):
    rewrite(saved, {"arrays/theta.npy": None})
    edited(saved, lambda record: record["arrays"].remove("theta"))
    with pytest.raises(hd.DataError, match="array 'theta' is missing"):
        hd.load(saved)


class Attack:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_in_an_array_is_not_run(saved, tmp_path):
    trace = tmp_path / "trace"
    objects = np.empty((3, 3), dtype=object)
    objects[0, 0] = Attack(trace)
    rewrite(saved, {"arrays/corner.npy": npy(objects, allow_pickle=True)})
    with pytest.raises(hd.DataError, match="holds object"):
        hd.load(saved)
    assert not trace.exists()


@pytest.mark.parametrize(
    "formula", ["y ~ __import__('os').system('touch trace') + (1 | g)", "y ~ x + (lambda: 0)() + (1 | g)"]
)
def test_a_formula_in_a_file_is_not_run(saved, tmp_path, monkeypatch, formula, data):
    monkeypatch.chdir(tmp_path)
    edited(saved, lambda record: record["spec"].update(formula=formula))
    with pytest.raises(hd.HendersonError):
        hd.load(saved).predict(data)
    assert not (tmp_path / "trace").exists()


def test_names_in_the_zip_touch_nothing_outside(saved, tmp_path):
    rewrite(saved, {"../../escaped.npy": b"x", "arrays/../../escaped.npy": npy(np.zeros(1))})
    with pytest.raises(hd.DataError, match="not its own"):
        hd.load(saved)
    assert list(tmp_path.iterdir()) == [saved]


@pytest.mark.parametrize("path", [None, 5, ["fit.zip"]])
def test_a_path_is_wanted(saved, path):
    with pytest.raises(hd.DataError, match="a path to a file is wanted"):
        hd.load(path)
    with pytest.raises(hd.DataError, match="a path to a file is wanted"):
        hd.load(saved).save(path)


def test_a_pickle_of_a_fit_is_refused_by_what_to_do_instead(saved):
    with pytest.raises(hd.ModelError, match=r"fit\.save\(path\)"):
        pickle.dumps(hd.load(saved))


def test_tables_are_pandas_where_the_library_of_the_fit_is_not_installed(data, tmp_path, monkeypatch):
    fit = hd.lmm("y ~ x + (1 | g)", pytest.importorskip("polars").from_pandas(data))
    fit.save(tmp_path / "fit.zip")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(hd.DataError, match="given back in polars"):
        fit.fixed_effects  # noqa: B018
    again = hd.load(tmp_path / "fit.zip")
    assert again.library == "pandas" and again.fixed_effects["term"].tolist() == ["(Intercept)", "x"]


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch, data):
    before = saved.read_bytes()
    from henderson.models import archive

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.np.lib.format, "write_array", full)
    with pytest.raises(hd.DataError, match="No space left"):
        hd.lmm("y ~ x + (1 | g)", data).save(saved)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]
    with pytest.raises(hd.DataError, match="cannot be written"):
        hd.lmm("y ~ x + (1 | g)", data).save(saved.parent / "no" / "fit.zip")
