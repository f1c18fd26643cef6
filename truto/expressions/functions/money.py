"""``$convertCurrencyToSubunit``, ``$convertCurrencyFromSubunit``."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from truto import javascript
from truto.expressions.values import UNDEFINED

# ISO 4217, by the number of digits behind the point.
_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XAG XAU XBA XBB XBC XBD XDR XOF "
    "XPD XPF XPT XSU XTS XUA XXX",
    2: (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
        "CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
        "HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP "
        "MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR "
        "SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED "
        "VES WST XCD YER ZAR ZMW ZWL "
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DIGITS = {code: digits for digits, codes in _CODES.items() for code in codes.split()}


def convert_currency_to_subunit(value: Any, code: Any = UNDEFINED) -> Any:
    """``floor(value * 10 ** digits)`` in binary arithmetic: 1.15 USD is 114 (lib); an unknown code gives *value*."""
    digits = _digits(code)
    if digits is None or value is UNDEFINED or value is None:
        return value
    amount = javascript.leading_number(javascript.text(value))
    return math.nan if amount is None else math.floor(amount * 10**digits)


def convert_currency_from_subunit(value: Any, code: Any = UNDEFINED) -> Any:
    """Text with the currency's digits: 550 USD is ``"5.50"``; an unknown code gives *value*."""
    digits = _digits(code)
    if digits is None or value is UNDEFINED or value is None:
        return value
    amount = javascript.leading_number(javascript.text(value))
    if amount is None:
        return "NaN"
    return str(Decimal(amount / 10**digits).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP))


def _digits(code: Any) -> int | None:
    return _DIGITS.get(code) if isinstance(code, str) else None


FUNCTIONS = {
    "convertCurrencyToSubunit": convert_currency_to_subunit,
    "convertCurrencyFromSubunit": convert_currency_from_subunit,
}
