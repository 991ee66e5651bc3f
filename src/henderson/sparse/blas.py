# mypy: disable-error-code="call-arg,arg-type,var-annotated"
"""SciPy's BLAS and LAPACK, callable from compiled code.

The addresses come from `scipy.linalg.cython_blas` and `cython_lapack`, are registered with LLVM under a name
of ours, and are declared to Numba as external functions. Compiled code refers to the name only, so
`cache=True` keeps working from one process to the next. Every routine takes whole arrays with an offset: no
views are made in the inner loops.

All matrices are float64, column-major; `oa` is the offset of the first element of A and `lda` its leading
dimension.
"""

from __future__ import annotations

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

from .compiled import plain
from .threads import setter_address

LOWER, LEFT, RIGHT, TRANS, NOTRANS, NONUNIT = 76, 76, 82, 84, 78, 78

for _name in ("dgemm", "dsymm", "dsyrk", "dtrsm"):
    llvm.add_symbol("henderson_" + _name, get_cython_function_address("scipy.linalg.cython_blas", _name))
for _name in ("dpotrf", "dtrtri", "dlauum"):
    llvm.add_symbol("henderson_" + _name, get_cython_function_address("scipy.linalg.cython_lapack", _name))
llvm.add_symbol("henderson_set_threads", setter_address())


def _external(name: str, count: int) -> types.ExternalFunction:
    return types.ExternalFunction("henderson_" + name, types.void(*[types.voidptr] * count))


_dgemm = _external("dgemm", 13)
_dsymm = _external("dsymm", 12)
_dsyrk = _external("dsyrk", 10)
_dtrsm = _external("dtrsm", 11)
_dpotrf = _external("dpotrf", 5)
_dtrtri = _external("dtrtri", 6)
_dlauum = _external("dlauum", 5)
_set_threads = types.ExternalFunction("henderson_set_threads", types.void(types.int32))


def _slot(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Address (void*) of a place on the stack that holds `value`: Fortran takes arguments by address."""
    place = cgutils.alloca_once(builder, value.type)
    builder.store(value, place)
    return builder.bitcast(place, cgutils.voidptr_t)


@intrinsic
def _byte(typingctx, value):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _slot(builder, builder.trunc(args[0], ir.IntType(8)))

    return types.voidptr(types.int64), code


@intrinsic
def _int(typingctx, value):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _slot(builder, builder.trunc(args[0], ir.IntType(32)))

    return types.voidptr(types.int64), code


@intrinsic
def _real(typingctx, value):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _slot(builder, args[0])

    return types.voidptr(types.float64), code


@intrinsic
def _load_int(typingctx, address):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        return builder.sext(builder.load(builder.bitcast(args[0], word.as_pointer())), ir.IntType(64))

    return types.int64(types.voidptr), code


@intrinsic
def _at(typingctx, array, offset):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, args):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.bitcast(builder.gep(view.data, [args[1]]), cgutils.voidptr_t)

    return types.voidptr(array, types.int64), code


@plain
def set_threads(count):
    """Number of BLAS threads from now on (no effect where SciPy's BLAS is not OpenBLAS)."""
    _set_threads(types.int32(count))


@plain
def gemm(ta, tb, m, n, k, alpha, a, oa, lda, b, ob, ldb, beta, c, oc, ldc):
    """C (m, n) = alpha op(A) op(B) + beta C."""
    _dgemm(
        _byte(ta), _byte(tb), _int(m), _int(n), _int(k), _real(alpha), _at(a, oa), _int(lda),
        _at(b, ob), _int(ldb), _real(beta), _at(c, oc), _int(ldc),
    )  # fmt: skip


@plain
def symm(m, n, alpha, a, oa, lda, b, ob, ldb, beta, c, oc, ldc):
    """C (m, n) = alpha A B + beta C, A symmetric (m, m), its lower triangle stored."""
    _dsymm(
        _byte(LEFT), _byte(LOWER), _int(m), _int(n), _real(alpha), _at(a, oa), _int(lda),
        _at(b, ob), _int(ldb), _real(beta), _at(c, oc), _int(ldc),
    )  # fmt: skip


@plain
def syrk(trans, n, k, alpha, a, oa, lda, beta, c, oc, ldc):
    """Lower triangle of C (n, n) = alpha A A' + beta C, or alpha A'A + beta C with `trans`."""
    _dsyrk(
        _byte(LOWER), _byte(trans), _int(n), _int(k), _real(alpha), _at(a, oa), _int(lda),
        _real(beta), _at(c, oc), _int(ldc),
    )  # fmt: skip


@plain
def trsm(side, trans, m, n, alpha, a, oa, lda, b, ob, ldb):
    """B (m, n) = alpha op(A)^-1 B (LEFT) or alpha B op(A)^-1 (RIGHT), A lower triangular."""
    _dtrsm(
        _byte(side), _byte(LOWER), _byte(trans), _byte(NONUNIT), _int(m), _int(n), _real(alpha),
        _at(a, oa), _int(lda), _at(b, ob), _int(ldb),
    )  # fmt: skip


@plain
def potrf(n, a, oa, lda):
    """Cholesky factor of the lower triangle of A (n, n) in place; info: 0, or 1 + the bad column."""
    info = _int(0)
    _dpotrf(_byte(LOWER), _int(n), _at(a, oa), _int(lda), info)
    return _load_int(info)


@plain
def trtri(n, a, oa, lda):
    """Inverse of a lower triangular A (n, n) in place."""
    info = _int(0)
    _dtrtri(_byte(LOWER), _byte(NONUNIT), _int(n), _at(a, oa), _int(lda), info)
    return _load_int(info)


@plain
def lauum(n, a, oa, lda):
    """Lower triangle of A'A in place, A (n, n) lower triangular."""
    info = _int(0)
    _dlauum(_byte(LOWER), _int(n), _at(a, oa), _int(lda), info)
    return _load_int(info)
