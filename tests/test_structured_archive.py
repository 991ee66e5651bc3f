"""Saved fits with structures: loaded ones say the same to the last digit; damaged files are refused with a reason."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from structured_models import ANIMAL, MODELS, pedigree, trial

import henderson as hd
from henderson.mixed.structured import kept


@pytest.fixture(scope="module", params=MODELS)
def pair(request, tmp_path_factory):
    make, data = MODELS[request.param]
    fit = make()
    path = tmp_path_factory.mktemp("fits") / "fit.zip"
    fit.save(path)
    return fit, hd.load(path), data()


@pytest.fixture(scope="module")
def animal():
    return hd.lmm(ANIMAL, trial(), relationships={"A": pedigree()})


@pytest.fixture
def saved(animal, tmp_path):
    path = tmp_path / "fit.zip"
    animal.save(path)
    return path


def test_a_loaded_fit_says_the_same_to_the_last_digit(pair):
    fit, again, _ = pair
    assert again.summary() == fit.summary()
    assert repr(again) == repr(fit) and type(again) is type(fit)
    for name in ("fixed_effects", "variance_components", "random_effects"):
        assert getattr(again, name).equals(getattr(fit, name)), name
    for name in (
        "deviance", "loglik", "aic", "bic", "nobs", "npar", "sigma", "df_residual", "groups", "dropped", "n_dropped",
        "rows_note", "status", "recorded", "model_notes", "information_kind",
    ):  # fmt: skip
        assert getattr(again, name) == getattr(fit, name), name
    np.testing.assert_array_equal(again.theta, fit.theta)
    np.testing.assert_array_equal(again.vcov, fit.vcov)
    for effects in ("fixed", "ran_pars", "ran_vals"):
        assert again.tidy(effects).equals(fit.tidy(effects))
    assert again.glance().equals(fit.glance())


def test_a_loaded_fit_predicts_the_same(pair):
    fit, again, data = pair
    for options in (
        {"interval": "prediction"},
        {"interval": "confidence", "random_effects": False},
        {"interval": "prediction", "random_effects": False},
    ):
        if "w" in data and fit.spec["weights"]:
            data = data.assign(w=1.5)
        assert again.predict(data, **options).equals(fit.predict(data, **options))
    conditional = [f.random_effects_columns(conditional=True)["std_error"] for f in (fit, again)]
    np.testing.assert_allclose(*conditional, rtol=1e-12, atol=1e-14)


def test_a_loaded_fit_can_be_saved_again(pair, tmp_path):
    fit, again, data = pair
    again.save(tmp_path / "second.zip")
    second = hd.load(tmp_path / "second.zip")
    assert second.summary() == fit.summary()
    assert second.predict(data, se=True).equals(again.predict(data, se=True))


def test_what_follows_from_components(animal, saved):
    again = hd.load(saved)
    asked = "h2 = animal / (animal + Residual)"
    assert again.derive(asked).equals(animal.derive(asked))
    assert again.accuracy().equals(animal.accuracy())
    fit = MODELS["factors"][0]()
    fit.save(saved)
    again = hd.load(saved)
    assert again.genetic_correlations().equals(fit.genetic_correlations())
    for rotation in ("none", "varimax"):
        assert again.loadings(rotation=rotation).table.equals(fit.loadings(rotation=rotation).table)
        assert again.loadings(rotation=rotation).scores.equals(fit.loadings(rotation=rotation).scores)


@pytest.mark.parametrize(
    "ask",
    [
        lambda f: f.fitted,
        lambda f: f.residuals,
        lambda f: f.predict(),
        lambda f: f.simulate(),
        lambda f: f.refit(np.zeros(96)),
        lambda f: f.augment(),
        lambda f: f.explain(),
        lambda f: f.plan(),
        lambda f: f.plot.fit(),
        lambda f: f.derive("animal / (animal + Residual)", method="profile"),
    ],
)
def test_what_needs_rows_says_so(ask, saved):
    with pytest.raises(hd.ModelError, match="holds no rows"):
        ask(hd.load(saved))


def test_figures_that_need_no_rows(saved):
    again = hd.load(saved)
    assert again.plot.random_effects().axes


def test_the_file_holds_no_rows(saved):
    data = trial()
    with zipfile.ZipFile(saved) as archive:
        arrays = [np.load(io.BytesIO(archive.read(n))) for n in archive.namelist() if n.endswith(".npy")]
        text = archive.read("fit.json").decode()
    assert all(96 not in array.shape for array in arrays)
    values = np.concatenate([array.ravel() for array in arrays if array.dtype.kind == "f"])
    assert not np.isin(data.y.to_numpy(), values).any()
    assert not any(repr(float(v)) in text for v in [*data.y, *data.x])


def test_equations_too_large_to_keep(animal, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "LARGEST", 100)
    animal.save(tmp_path / "fit.zip")
    again = hd.load(tmp_path / "fit.zip")
    data = trial()
    assert again.summary() == animal.summary()
    assert again.random_effects.equals(animal.random_effects)
    np.testing.assert_array_equal(again.predict(data), animal.predict(data))
    plain = {"random_effects": False, "interval": "confidence"}
    assert again.predict(data, **plain).equals(animal.predict(data, **plain))
    with pytest.raises(hd.ModelError, match=r"saved without its 42 mixed-model equations"):
        again.predict(data, se=True)
    again.save(tmp_path / "second.zip")
    assert hd.load(tmp_path / "second.zip").summary() == animal.summary()


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


def npy(array):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    return file.getvalue()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(hd.DataError, match="only a part of one"):
        hd.load(saved)


def test_flipped_bytes(saved):
    whole, summary = bytearray(saved.read_bytes()), hd.load(saved).summary()
    for at in range(0, len(whole), 60):
        broken = whole.copy()
        broken[at] ^= 0x55
        saved.write_bytes(bytes(broken))
        try:
            again = hd.load(saved)
        except hd.DataError:
            continue
        assert again.summary() == summary


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda r: r["arrays"].append("more"), "missing, or are not its own"),
        (lambda r: r["structures"].pop(), "random terms are not whole"),
        (lambda r: r["structures"][0].update(q=7), "40 levels and 7 equations"),
        (lambda r: r["coordinates"].update(y_scale=-1.0), "scales or number of rows"),
        (lambda r: r["problem"].update(parts=[["T", 0, 0, 9]]), "parameters are not whole"),
        (lambda r: r["problem"].update(n_free=5), "shape"),
        (lambda r: r.pop("components"), "damaged: KeyError"),
        (lambda r: r["components"].__setitem__(0, [5, "T", "x", "P", True]), "belongs to no term"),
        (
            lambda r: r["labels"]["terms"][0].update(structure="usual"),
            "no covariance structure called 'usual'",
        ),
        (lambda r: r["labels"]["terms"][0]["levels"].pop(), "shape|levels"),
        (lambda r: r["problem"].update(absent=3), "shape"),
        (lambda r: r.update(kind="structures"), "no fit of the kind"),
    ],
)
def test_a_record_that_cannot_be(saved, edit, said):
    edited(saved, edit)
    with pytest.raises((hd.DataError, hd.ModelError), match=said):
        hd.load(saved)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("u_0", lambda a: a[:-1], "shape"),
        ("pev_0", lambda a: np.full_like(a, np.nan), "not finite"),
        ("equation_rows", lambda a: a + 40, "outside its range"),
        ("equations", lambda a: a[:-1], "shape"),
        ("source", lambda a: a + 9, "outside their range"),
        ("vcov", lambda a: a.astype(np.int64), "float64|int64"),
        ("phi", lambda a: a[:0], "shape"),
    ],
)
def test_arrays_that_cannot_be(saved, name, change, said):
    with zipfile.ZipFile(saved) as archive:
        array = np.load(io.BytesIO(archive.read(f"arrays/{name}.npy")))
    rewrite(saved, {f"arrays/{name}.npy": npy(change(array))})
    with pytest.raises(hd.DataError, match=said):
        hd.load(saved)


def test_equations_that_are_not_positive_definite(saved):
    with zipfile.ZipFile(saved) as archive:
        array = np.load(io.BytesIO(archive.read("arrays/equations.npy")))
    rewrite(saved, {"arrays/equations.npy": npy(-array)})
    again = hd.load(saved)
    with pytest.raises(hd.DataError, match="not positive definite"):
        again.predict(trial(), se=True)
