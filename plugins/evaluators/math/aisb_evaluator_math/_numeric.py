"""Compare closed expressions by relative error, instead of math-verify's 15 decimal places.

math-verify treats any two values below about 1e-15 as equal, and any two decimals that agree in six places.
"""

from __future__ import annotations

from typing import Any

from aisb_evaluator_math._decimals import decimal_of, stands_for

_DIGITS = 30
_EXACT = 1e-22
"""The tolerated relative error of two expressions without decimals, computed to 30 digits."""
_DECIMAL = 1e-12
"""The tolerated relative error with decimals, computed to 15 digits."""


def numbers_equal(one: Any, other: Any, float_rounding: int, numeric_precision: int) -> bool:
    """Return whether two sympy expressions are known to be the same number.

    The signature is that of math-verify's own comparison, which this replaces; the settings are unused.
    """
    from sympy import MatrixBase, MatrixExpr

    if isinstance(one, (MatrixBase, MatrixExpr)) and isinstance(other, (MatrixBase, MatrixExpr)):
        one, other = _worked_out(one), _worked_out(other)
        if not isinstance(one, MatrixBase) or not isinstance(other, MatrixBase) or one.shape != other.shape:
            return False
        pairs = zip(one.flat(), other.flat(), strict=True)
        return all(numbers_equal(*pair, float_rounding, numeric_precision) for pair in pairs)
    try:
        return _same(one, other)
    except (TypeError, ValueError, AttributeError, ArithmeticError, NotImplementedError):
        return False


def _same(one: Any, other: Any) -> bool:
    from math_verify.grader import get_pct_val

    percents = [get_pct_val(side) for side in (one, other)]
    if percents[0] is not None and percents[1] is not None:
        return _same(*percents)
    if percents[0] is not None:
        return _equal(percents[0], other) or _equal(_worked_out(one), other)
    if percents[1] is not None:
        return _equal(one, percents[1]) or _equal(one, _worked_out(other))
    return _equal(one, other)


def _equal(one: Any, other: Any) -> bool:
    from sympy import Rational

    one, other = _with_imaginary_unit(_worked_out(one), _worked_out(other))
    sides = (one, other)
    if all(isinstance(side, Rational) for side in sides) or any(
        side.free_symbols or side.is_finite is False for side in sides
    ):
        return bool(one == other)
    return _close(one, other)


def _with_imaginary_unit(one: Any, other: Any) -> tuple[Any, Any]:
    """Return both sides with the symbol `i` as the imaginary unit, if neither side has another symbol."""
    from sympy import I

    letters = {symbol for side in (one, other) for symbol in side.free_symbols}
    if {symbol.name for symbol in letters} != {"i"}:
        return one, other
    unit = dict.fromkeys(letters, I)
    return _worked_out(one.xreplace(unit)), _worked_out(other.xreplace(unit))


def _close(one: Any, other: Any) -> bool:
    """Compare the values of two closed expressions, of which at least one is not rational."""
    from sympy import Float

    values = [side.evalf(_DIGITS) for side in (one, other)]
    largest, error = max(abs(value) for value in values), abs(values[0] - values[1])
    if not largest.is_Number:
        return False
    with_decimals = one.has(Float) or other.has(Float)
    if error <= largest * (_DECIMAL if with_decimals else _EXACT):
        return True
    decimals = [side for side in (one, other) if isinstance(side, Float)]
    return len(decimals) == 1 and _stands_for(decimals[0], error)


def _stands_for(decimal: Any, error: Any) -> bool:
    written = decimal_of(format(float(decimal), ".15g"))
    return written is not None and stands_for(written, error)


def _worked_out(side: Any) -> Any:
    try:
        return side.doit()
    except Exception:  # noqa: BLE001 - sympy raises anything; what cannot be worked out is compared as it is
        return side
